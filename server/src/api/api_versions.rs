//! ApiVersions: which requests this broker answers, in which versions, and the features of the cluster.
//!
//! The features are those that a new cluster of Apache Kafka 4.3.1 has. They say how an API behaves, not
//! whether it is served: that is what the list of APIs says.

use super::{Call, Reply};
use crate::net::conn::Ended;
use crate::wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{APIS, Api, ApiRow, ErrorCode, Text};

/// From this version on clients say what software they are.
const SOFTWARE_FROM: i16 = 3;
/// From this version on clients can read a feature whose least level is 0; older ones fail at it.
const LEVEL_0_FROM: i16 = 4;
/// Which state of the finalized features is told: they do not change while a broker runs.
const FEATURES_EPOCH: i64 = 0;

/// A feature: levels that the broker supports, and the one that the cluster has settled on.
struct Feature {
    name: &'static str,
    min: i16,
    max: i16,
    /// 0 is not told.
    finalized: i16,
}

const FEATURES: [Feature; 7] = [
    Feature { name: "eligible.leader.replicas.version", min: 0, max: 1, finalized: 1 },
    Feature { name: "group.version", min: 0, max: 1, finalized: 1 },
    Feature { name: "kraft.version", min: 0, max: 1, finalized: 0 },
    Feature { name: "metadata.version", min: 7, max: 30, finalized: 30 },
    Feature { name: "share.version", min: 0, max: 1, finalized: 1 },
    Feature { name: "streams.version", min: 0, max: 1, finalized: 1 },
    Feature { name: "transaction.version", min: 0, max: 2, finalized: 2 },
];

pub(crate) fn handle(request: &ApiVersionsRequest, call: &Call) -> Result<Reply, Ended> {
    call.now(&respond(request, call.version))
}

/// Answers a version to come in the oldest one, with the versions that there are: the client asks again.
pub(crate) fn refuse_version(mut call: Call) -> Result<Reply, Ended> {
    call.version = 0;
    call.now(&ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion as i16,
        api_keys: vec![versions_of(Api::ApiVersions.row())],
        ..ApiVersionsResponse::default()
    })
}

fn respond(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let names = [&request.client_software_name, &request.client_software_version];
    if version >= SOFTWARE_FROM && !names.into_iter().all(|name| is_software(name)) {
        let error_code = ErrorCode::InvalidRequest as i16;
        return ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() };
    }
    ApiVersionsResponse {
        api_keys: APIS.iter().map(|row| versions_of(row)).collect(),
        supported_features: FEATURES
            .iter()
            .filter(|feature| version >= LEVEL_0_FROM || feature.min > 0)
            .map(|feature| SupportedFeatureKey {
                name: Text::from_static(feature.name),
                min_version: feature.min,
                max_version: feature.max,
            })
            .collect(),
        finalized_features_epoch: FEATURES_EPOCH,
        finalized_features: FEATURES
            .iter()
            .filter(|feature| feature.finalized > 0)
            .map(|feature| FinalizedFeatureKey {
                name: Text::from_static(feature.name),
                max_version_level: feature.finalized,
                min_version_level: feature.finalized,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

fn versions_of(row: &ApiRow) -> ApiVersion {
    ApiVersion { api_key: row.key(), min_version: row.advertised.min, max_version: row.advertised.max }
}

/// Whether a text may name software or its version: letters, digits, and dots and hyphens between them.
fn is_software(text: &str) -> bool {
    let is_inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let is_end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().copied().all(is_inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Text;

    fn answer(name: &str, version: &str, api_version: i16) -> (i16, usize) {
        let request = ApiVersionsRequest {
            client_software_name: Text::from(name),
            client_software_version: Text::from(version),
        };
        let response = respond(&request, api_version);
        (response.error_code, response.api_keys.len())
    }

    #[test]
    fn clients_say_what_they_are_or_are_told_nothing() {
        for (name, version) in [("apache-kafka-java", "4.3.1"), ("a", "0"), ("a.b-c", "1-rc.1")] {
            assert_eq!(answer(name, version, 3), (0, APIS.len()), "{name} {version}");
        }
        for name in ["", "a b", "-a", "a-", ".", "é", "a_b"] {
            assert_eq!(answer(name, "1", 4), (42, 0), "{name}");
            assert_eq!(answer("a", name, 3), (42, 0), "{name}");
            assert_eq!(answer(name, name, 2), (0, APIS.len()), "{name}");
        }
    }

    #[test]
    fn versions_are_the_advertised_ones() {
        let request = ApiVersionsRequest::default();
        let response = respond(&request, 0);
        for (told, row) in response.api_keys.iter().zip(&APIS) {
            assert_eq!((told.api_key, told.min_version), (row.key(), row.advertised.min));
            assert_eq!(told.max_version, row.advertised.max, "{}", row.name);
        }
    }

    #[test]
    fn features_of_level_0_are_told_to_those_who_can_read_it() {
        let request = ApiVersionsRequest {
            client_software_name: Text::from("a"),
            client_software_version: Text::from("1"),
        };
        let supported = |version| {
            let features = respond(&request, version).supported_features;
            features.iter().map(|feature| feature.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(supported(3), ["metadata.version"]);
        assert_eq!(supported(4), FEATURES.map(|feature| feature.name));
        let response = respond(&request, 3);
        assert_eq!(response.finalized_features_epoch, 0);
        assert!(response.finalized_features.iter().all(|feature| feature.name != "kraft.version"));
    }
}
