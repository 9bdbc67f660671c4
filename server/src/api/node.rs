//! `Node`: this broker, as the clients of one listener are told of it.

use crate::broker::Broker;
use crate::wire::Text;

/// Where a client finds this broker, the only one of its cluster and its controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) host: Text,
    pub(crate) port: i32,
    pub(crate) rack: Option<Text>,
}

impl Node {
    /// The address to advertise to those who came in by a listener, given by its place among the configured
    /// ones: what is advertised under its name. One that is not advertised at all answers with the address
    /// that brokers use among each other, which is always there.
    pub(crate) fn of(broker: &Broker, listener: usize) -> Node {
        let config = &broker.config;
        let advertised = |name: &str| {
            broker.advertised.iter().find(|advertised| advertised.name.eq_ignore_ascii_case(name))
        };
        let address = advertised(&config.listeners[listener].name)
            .or_else(|| advertised(&config.inter_broker_listener))
            .expect("the listener between brokers is advertised");
        Node {
            id: config.node_id,
            host: Text::from(address.host.as_str()),
            port: address.port.into(),
            rack: config.layers.set("broker.rack").map(Text::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Machine};
    use crate::net::admission::Admission;
    use crate::stop::StopSignal;

    fn broker(settings: &[(&str, &str)]) -> Broker {
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let machine = Machine { host_name: "box".to_owned(), cores: 1 };
        let (config, _) = Config::load(None, [], &settings, &machine).unwrap();
        let advertised = config.advertised_listeners.clone();
        let admission = Arc::new(Admission::new(&config, HashMap::new(), None));
        let stop = StopSignal::default();
        Broker { config, cluster_id: Text::from("c"), advertised, stop, admission }
    }

    #[test]
    fn each_listener_has_the_address_that_is_advertised_under_its_name() {
        let broker = broker(&[
            ("listeners", "INTERNAL://:29092,EXTERNAL://:9092,HIDDEN://:1"),
            ("advertised.listeners", "EXTERNAL://outside.example:19092,INTERNAL://kafka:29092"),
            ("listener.security.protocol.map", "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,HIDDEN:PLAINTEXT"),
            ("inter.broker.listener.name", "INTERNAL"),
            ("broker.rack", "r1"),
            ("node.id", "7"),
        ]);
        let address = |listener| {
            let node = Node::of(&broker, listener);
            assert_eq!((node.id, node.rack.as_deref()), (7, Some("r1")));
            format!("{}:{}", node.host, node.port)
        };
        assert_eq!(address(0), "kafka:29092");
        assert_eq!(address(1), "outside.example:19092");
        assert_eq!(address(2), "kafka:29092");
    }
}
