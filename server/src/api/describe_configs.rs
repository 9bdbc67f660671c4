//! DescribeConfigs: the settings of topics and of this broker, and where they come from.

use std::collections::HashSet;

use super::broker_configs::{of_broker, of_cluster};
use super::{Call, Reply};
use crate::config::describe::{DescribedConfig, DescribedSynonym, describe};
use crate::config::{Config, topic_name};
use crate::metadata::{Image, Refused};
use crate::net::conn::Ended;
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{ErrorCode, Text};

/// What has settings.
mod resource {
    pub(super) const TOPIC: i8 = 2;
    pub(super) const BROKER: i8 = 4;
    pub(super) const BROKER_LOGGER: i8 = 8;
    pub(super) const CLIENT_METRICS: i8 = 16;
    pub(super) const GROUP: i8 = 32;
    /// All that there are.
    pub(super) const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
}

/// What Apache Kafka answers to a request that makes no sense as a whole.
const NO_SENSE: &str = "This most likely occurs because of a request being malformed by the client library or the \
                        message was sent to an incompatible broker. See the broker logs for more details.";

pub(crate) fn handle(request: &DescribeConfigsRequest, call: &Call) -> Result<Reply, Ended> {
    call.now(&respond(request, &call.shard.image(), &call.shard.broker().config))
}

fn respond(request: &DescribeConfigsRequest, image: &Image, config: &Config) -> DescribeConfigsResponse {
    let is_known = |asked: &DescribeConfigsResource| resource::ALL.contains(&asked.resource_type);
    // Five bytes of a request can name the broker, whose settings take tens of kilobytes.
    let mut seen = HashSet::new();
    let resources = request.resources.iter().filter(|asked| seen.insert(identity(asked)));
    let results = if request.resources.iter().all(is_known) {
        resources.map(|asked| result(asked, settings_of(asked, image, config), request)).collect()
    } else {
        let refused = Refused { code: ErrorCode::InvalidRequest, message: Some(Text::from_static(NO_SENSE)) };
        resources.map(|asked| result(asked, Err(refused.clone()), request)).collect()
    };
    DescribeConfigsResponse { throttle_time_ms: 0, results }
}

/// What a resource is, however it is written: brokers have numbers, and `1`, `+1` and `01` are one of them.
fn identity(asked: &DescribeConfigsResource) -> (i8, Result<i32, &str>) {
    let name = asked.resource_name.as_str();
    let number = if asked.resource_type == resource::BROKER { name.parse().ok() } else { None };
    (asked.resource_type, number.ok_or(name))
}

fn result(
    asked: &DescribeConfigsResource,
    settings: Result<Vec<DescribeConfigsResourceResult>, Refused>,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResult {
    let (resource_type, resource_name) = (asked.resource_type, asked.resource_name.clone());
    match settings {
        Ok(mut configs) => {
            if let Some(keys) = asked.configuration_keys.as_deref().filter(|keys| !keys.is_empty()) {
                configs.retain(|config| keys.contains(&config.name));
            }
            for config in &mut configs {
                if !request.include_synonyms {
                    config.synonyms.clear();
                }
                if !request.include_documentation {
                    config.documentation = None;
                }
            }
            DescribeConfigsResult { configs, resource_type, resource_name, ..Default::default() }
        }
        Err(Refused { code, message }) => DescribeConfigsResult {
            error_code: code as i16,
            error_message: message,
            resource_type,
            resource_name,
            configs: Vec::new(),
        },
    }
}

fn settings_of(
    asked: &DescribeConfigsResource,
    image: &Image,
    config: &Config,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    let name = asked.resource_name.as_str();
    match asked.resource_type {
        resource::TOPIC => settings_of_topic(name, image, config),
        resource::BROKER if name.is_empty() => Ok(of_cluster(&config.layers)),
        resource::BROKER => {
            check_broker(name, config.node_id, " or empty string,")?;
            Ok(of_broker(&config.layers))
        }
        resource::BROKER_LOGGER => {
            check_name(name, "Broker id")?;
            check_broker(name, config.node_id, "")?;
            Err(unsupported("BROKER_LOGGER"))
        }
        resource::CLIENT_METRICS => {
            check_name(name, "Client metrics subscription name")?;
            Err(unsupported("CLIENT_METRICS"))
        }
        resource::GROUP => {
            check_name(name, "Group name")?;
            Err(unsupported("GROUP"))
        }
        other => unreachable!("resource type {other} was refused with the whole request"),
    }
}

fn settings_of_topic(
    name: &str,
    image: &Image,
    config: &Config,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    topic_name::validate(name)
        .map_err(|invalid| Refused::new(ErrorCode::InvalidTopicException, invalid.to_string()))?;
    let topic =
        image.by_name(name).ok_or_else(|| Refused::new(ErrorCode::UnknownTopicOrPartition, Text::EMPTY))?;
    let described = describe(&topic.overrides, &config.layers)
        .map_err(|invalid| Refused::new(ErrorCode::InvalidConfig, invalid.to_string()))?;
    Ok(described.into_iter().map(topic_setting).collect())
}

fn topic_setting(described: DescribedConfig) -> DescribeConfigsResourceResult {
    let synonym = |DescribedSynonym { name, value, source }| DescribeConfigsSynonym {
        name: Text::from(name),
        value: value.map(Text::from),
        source: source.code(),
    };
    DescribeConfigsResourceResult {
        name: Text::from(described.name),
        value: described.value.map(Text::from),
        read_only: false,
        config_source: described.source.code(),
        is_sensitive: described.is_sensitive,
        synonyms: described.synonyms.into_iter().map(synonym).collect(),
        config_type: described.value_type.map_or(0, |value_type| value_type.code()),
        documentation: described.documentation.map(Text::from_static),
    }
}

fn check_name(name: &str, what: &str) -> Result<(), Refused> {
    if name.is_empty() { Err(invalid(format!("{what} must not be empty"))) } else { Ok(()) }
}

fn check_broker(name: &str, node_id: i32, or: &str) -> Result<(), Refused> {
    let id: i32 =
        name.parse().map_err(|_| invalid(format!("Broker id must be an integer, but it is: {name}")))?;
    if id != node_id {
        return Err(invalid(format!("Unexpected broker id, expected {node_id}{or} but received {name}")));
    }
    Ok(())
}

fn unsupported(resource_type: &str) -> Refused {
    invalid(format!("Unsupported resource type: {resource_type}"))
}

fn invalid(message: String) -> Refused {
    Refused::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use logmill_engine::format::Uuid;

    use super::*;
    use crate::config::{Machine, TopicOverrides};
    use crate::metadata::Topic;

    fn request(resources: &[(i8, &str, Option<&[&str]>)]) -> DescribeConfigsRequest {
        let resource = |(resource_type, name, keys): &(i8, &str, Option<&[&str]>)| DescribeConfigsResource {
            resource_type: *resource_type,
            resource_name: Text::from(*name),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| Text::from(*key)).collect()),
        };
        DescribeConfigsRequest {
            resources: resources.iter().map(resource).collect(),
            ..DescribeConfigsRequest::default()
        }
    }

    fn answer(request: &DescribeConfigsRequest) -> Vec<DescribeConfigsResult> {
        let machine = Machine { host_name: "box".to_owned(), cores: 1 };
        let settings = [("node.id".to_owned(), "1".to_owned())];
        let (config, _) = Config::load(None, [], &settings, &machine).unwrap();
        let set = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let mut image = Image::default();
        image.insert(Arc::new(Topic {
            name: Text::from("a"),
            id: Uuid([1; 16]),
            dirs: vec![0],
            overrides: TopicOverrides::accepted(set),
        }));
        respond(request, &image, &config).results
    }

    fn refusal(resource_type: i8, name: &str) -> (i16, String) {
        let result = answer(&request(&[(resource_type, name, None)])).pop().unwrap();
        assert_eq!((result.resource_type, result.resource_name.as_str()), (resource_type, name));
        assert_eq!(result.configs, []);
        (result.error_code, result.error_message.unwrap().to_string())
    }

    #[test]
    fn a_topic_has_all_settings_or_those_that_are_asked_for() {
        for keys in [None, Some(&[][..])] {
            let result = answer(&request(&[(2, "a", keys)])).pop().unwrap();
            assert_eq!((result.error_code, result.error_message.as_deref()), (0, Some("")));
            assert_eq!(result.configs.len(), 33, "{keys:?}");
        }
        let asked = request(&[(2, "a", Some(&["retention.ms", "nope"]))]);
        let results = answer(&asked);
        let [retention] = &results[0].configs[..] else { panic!("{results:?}") };
        assert_eq!((retention.name.as_str(), retention.value.as_deref()), ("retention.ms", Some("5")));
        assert_eq!((retention.config_source, retention.config_type), (1, 5));
        assert!(!retention.read_only && !retention.is_sensitive);
        assert_eq!((&retention.synonyms[..], &retention.documentation), (&[][..], &None));
        assert_eq!(answer(&request(&[(2, "a", Some(&["nope"]))]))[0].configs, []);
    }

    #[test]
    fn a_resource_that_is_named_often_is_answered_once_as_it_was_named_first() {
        let names =
            [(4, "+1"), (2, "a"), (4, ""), (4, "1"), (2, "a"), (4, "01"), (4, ""), (4, "2"), (2, "1")];
        let asked = request(&names.map(|(resource_type, name)| (resource_type, name, None)));
        let results = answer(&asked);
        let answered: Vec<_> =
            results.iter().map(|result| (result.resource_type, result.resource_name.as_str())).collect();
        assert_eq!(answered, [(4, "+1"), (2, "a"), (4, ""), (4, "2"), (2, "1")]);
        assert_eq!(answer(&request(&[(99, "x", None); 9])).len(), 1);
    }

    #[test]
    fn synonyms_and_documentation_come_to_those_who_ask() {
        for (kind, name, key) in [(2, "a", "retention.ms"), (4, "1", "num.partitions")] {
            let mut asked = request(&[(kind, name, Some(&[key]))]);
            asked.include_synonyms = true;
            let config = answer(&asked).pop().unwrap().configs.pop().unwrap();
            assert!(!config.synonyms.is_empty() && config.documentation.is_none(), "{key}");
            asked.include_synonyms = false;
            asked.include_documentation = true;
            let config = answer(&asked).pop().unwrap().configs.pop().unwrap();
            assert!(config.synonyms.is_empty() && config.documentation.is_some(), "{key}");
        }
    }

    #[test]
    fn topics_that_are_not_there_are_told_from_names_that_cannot_be() {
        assert_eq!(refusal(2, "nope"), (3, String::new()));
        let empty = "Topic name is invalid: the empty string is not allowed";
        assert_eq!(refusal(2, ""), (17, empty.to_owned()));
    }

    #[test]
    fn this_broker_answers_for_itself_and_for_the_cluster_alone() {
        let results = answer(&request(&[(4, "1", Some(&["node.id"])), (4, "", None)]));
        assert_eq!(results[0].configs[0].value.as_deref(), Some("1"));
        assert_eq!((results[1].error_code, &results[1].configs[..]), (0, &[][..]));
        assert!(answer(&request(&[(4, "+1", None)]))[0].configs.len() > 100);
        let other = "Unexpected broker id, expected 1 or empty string, but received 2";
        assert_eq!(refusal(4, "2"), (42, other.to_owned()));
        for name in ["x", "99999999999"] {
            assert_eq!(refusal(4, name), (42, format!("Broker id must be an integer, but it is: {name}")));
        }
    }

    #[test]
    fn what_has_no_settings_here_is_refused_by_name() {
        for (resource_type, name, message) in [
            (8, "", "Broker id must not be empty"),
            (8, "2", "Unexpected broker id, expected 1 but received 2"),
            (8, "x", "Broker id must be an integer, but it is: x"),
            (8, "1", "Unsupported resource type: BROKER_LOGGER"),
            (16, "", "Client metrics subscription name must not be empty"),
            (16, "x", "Unsupported resource type: CLIENT_METRICS"),
            (32, "", "Group name must not be empty"),
            (32, "x", "Unsupported resource type: GROUP"),
        ] {
            assert_eq!(refusal(resource_type, name), (42, message.to_owned()));
        }
    }

    #[test]
    fn a_resource_of_no_known_type_spoils_the_whole_request() {
        for resource_type in [0, 1, 3, 5, 99, -1] {
            let results = answer(&request(&[(2, "a", None), (resource_type, "x", None)]));
            for result in results {
                assert_eq!((result.error_code, result.error_message.as_deref()), (42, Some(NO_SENSE)));
                assert_eq!(result.configs, []);
            }
        }
    }
}
