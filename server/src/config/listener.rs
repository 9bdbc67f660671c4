//! `Listener`: where clients connect, and what they are told to connect to.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// A named address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in upper case.
    pub name: String,
    /// Host name or address, without brackets. Empty: every interface, which only a listener to open can have.
    pub host: String,
    /// The port. 0 takes a free one, and advertises that.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listener { name, host, port } = self;
        if host.contains(':') {
            write!(f, "{name}://[{host}]:{port}")
        } else {
            write!(f, "{name}://{host}:{port}")
        }
    }
}

/// What the settings say about listeners, read but not yet compared.
#[derive(Debug)]
pub(super) struct ListenerSettings {
    pub(super) listeners: Vec<String>,
    pub(super) advertised: Option<Vec<String>>,
    /// `listener.security.protocol.map` where it is set.
    pub(super) protocols: Option<String>,
    pub(super) controllers: Vec<String>,
    pub(super) inter_broker: Option<String>,
    /// What the machine calls itself: advertised for listeners without a host.
    pub(super) host_name: String,
}

/// The listeners of the broker.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) open: Vec<Listener>,
    pub(super) advertised: Vec<Listener>,
    pub(super) inter_broker: String,
}

/// The key that is wrong, and why.
pub(super) type Refusal = (&'static str, String);

impl ListenerSettings {
    /// The listeners that the settings describe; everything wrong with them goes to `refused`, and what is
    /// accepted without being done to `ignored`.
    pub(super) fn resolve(&self, refused: &mut Vec<Refusal>, ignored: &mut Vec<Refusal>) -> Listeners {
        let controllers: Vec<String> = self.controllers.iter().map(|name| name.to_uppercase()).collect();
        let is_controller = |listener: &Listener| controllers.contains(&listener.name);
        let all = parse_all("listeners", &self.listeners, refused);
        check_names("listeners", &all, refused);
        check_ports(&all, refused);
        for name in &controllers {
            ignored.push(match all.iter().find(|listener| listener.name == *name) {
                Some(listener) => (
                    "controller.listener.names",
                    format!("{listener} is not opened: the controller is in this process"),
                ),
                None => (
                    "controller.listener.names",
                    format!("{name} is not among the listeners, and not opened"),
                ),
            });
        }

        let open: Vec<Listener> = all.iter().filter(|listener| !is_controller(listener)).cloned().collect();
        if self.listeners.is_empty() {
            refused.push(("listeners", "there must be one that clients connect to".to_owned()));
        } else if open.is_empty() && !all.is_empty() {
            let reason = "every listener is the controller's: clients have none to connect to";
            refused.push(("listeners", reason.to_owned()));
        }
        self.check_protocols(&open, refused);

        let advertised =
            self.advertised(&all, refused).into_iter().filter(|listener| !is_controller(listener)).collect();
        let inter_broker = self.inter_broker.as_deref().unwrap_or("PLAINTEXT").to_uppercase();
        let listeners = Listeners { open, advertised, inter_broker };
        if !listeners.advertised.is_empty() {
            listeners.check_inter_broker(refused);
        } else if self.advertised.is_some() && refused.is_empty() {
            refused.push(("advertised.listeners", "there must be one that clients connect to".to_owned()));
        }
        listeners
    }

    fn advertised(&self, all: &[Listener], refused: &mut Vec<Refusal>) -> Vec<Listener> {
        let mut advertised = match &self.advertised {
            Some(texts) => {
                let advertised = parse_all("advertised.listeners", texts, refused);
                check_names("advertised.listeners", &advertised, refused);
                for listener in &advertised {
                    if !all.iter().any(|open| open.name == listener.name) {
                        let reason = format!("{} is not among the listeners: {}", listener.name, names(all));
                        refused.push(("advertised.listeners", reason));
                    }
                }
                advertised
            }
            None => all.to_vec(),
        };
        for listener in &mut advertised {
            if listener.host.is_empty() {
                listener.host.clone_from(&self.host_name);
            }
            let is_controller = self.controllers.iter().any(|name| name.eq_ignore_ascii_case(&listener.name));
            if listener.host == "0.0.0.0" && !is_controller {
                let reason = format!(
                    "{listener}: nobody can connect to 0.0.0.0; name an address that clients can reach"
                );
                refused.push(("advertised.listeners", reason));
            }
        }
        advertised
    }

    fn check_protocols(&self, open: &[Listener], refused: &mut Vec<Refusal>) {
        const KEY: &str = "listener.security.protocol.map";
        let mut protocols: BTreeMap<String, String> =
            PROTOCOLS.iter().map(|protocol| (protocol.to_string(), protocol.to_string())).collect();
        if let Some(map) = &self.protocols {
            protocols.clear();
            for entry in map.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                let Some((name, protocol)) = entry.rsplit_once(':') else {
                    refused.push((KEY, format!("{entry} is not of the form NAME:PROTOCOL")));
                    continue;
                };
                let protocol = protocol.trim().to_uppercase();
                if !PROTOCOLS.contains(&protocol.as_str()) {
                    let allowed = PROTOCOLS.join(", ");
                    refused.push((KEY, format!("{entry} names no security protocol; allowed: {allowed}")));
                    continue;
                }
                protocols.insert(name.trim().to_uppercase(), protocol);
            }
        }
        for listener in open {
            match protocols.get(&listener.name).map(String::as_str) {
                Some("PLAINTEXT") => {}
                Some(protocol) => {
                    let reason = format!("{listener} asks for {protocol}, and only PLAINTEXT is served");
                    refused.push(("listeners", reason));
                }
                None => {
                    let reason =
                        format!("{listener} has no protocol; add {}:PLAINTEXT to {KEY}", listener.name);
                    refused.push(("listeners", reason));
                }
            }
        }
    }
}

impl Listeners {
    fn check_inter_broker(&self, refused: &mut Vec<Refusal>) {
        if !self.advertised.iter().any(|listener| listener.name == self.inter_broker) {
            let reason = format!(
                "{} is not among the advertised listeners; allowed: {}",
                self.inter_broker,
                names(&self.advertised)
            );
            refused.push(("inter.broker.listener.name", reason));
        }
    }
}

fn names(listeners: &[Listener]) -> String {
    listeners.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn parse_all(key: &'static str, texts: &[String], refused: &mut Vec<Refusal>) -> Vec<Listener> {
    let mut listeners = Vec::with_capacity(texts.len());
    for text in texts {
        match parse(text) {
            Ok(listener) => listeners.push(listener),
            Err(reason) => refused.push((key, format!("{text}: {reason}"))),
        }
    }
    listeners
}

/// `NAME://host:port`; an IPv6 address may stand in brackets.
pub(super) fn parse(text: &str) -> Result<Listener, String> {
    let (name, address) = text.rsplit_once("://").ok_or("not of the form NAME://host:port")?;
    let (host, port) = address.rsplit_once(':').ok_or("no port")?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    if name.is_empty() {
        return Err("no name before ://".to_owned());
    }
    let is_of_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'%' | b'.' | b'_' | b':');
    if !host.bytes().all(is_of_host) {
        return Err(format!("{host} is no host name"));
    }
    // Without the look at the digits, +9092 would be a port.
    let port = port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()));
    let port = port.ok_or_else(|| "the port must be 0 to 65535".to_owned())?;
    Ok(Listener { name: name.to_uppercase(), host: host.to_owned(), port })
}

fn check_names(key: &'static str, listeners: &[Listener], refused: &mut Vec<Refusal>) {
    for (i, listener) in listeners.iter().enumerate() {
        if let Some(earlier) = listeners[..i].iter().find(|earlier| earlier.name == listener.name) {
            refused.push((key, format!("{earlier} and {listener} have one name")));
        }
    }
}

/// Two listeners may share a port only when one is IPv4 and the other IPv6.
fn check_ports(listeners: &[Listener], refused: &mut Vec<Refusal>) {
    let is_v4 = |listener: &Listener| listener.host.parse::<Ipv4Addr>().is_ok();
    let is_v6 = |listener: &Listener| listener.host.parse::<Ipv6Addr>().is_ok();
    for (i, listener) in listeners.iter().enumerate().filter(|(_, listener)| listener.port != 0) {
        let clash = listeners[..i].iter().find(|earlier| {
            let differ = (is_v4(earlier) && is_v6(listener)) || (is_v6(earlier) && is_v4(listener));
            earlier.port == listener.port && !differ
        });
        if let Some(earlier) = clash {
            refused.push(("listeners", format!("{earlier} and {listener} have one port")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listeners: &str, advertised: Option<&str>) -> ListenerSettings {
        let list = |text: &str| text.split(',').map(str::to_owned).collect();
        ListenerSettings {
            listeners: list(listeners),
            advertised: advertised.map(list),
            protocols: None,
            controllers: Vec::new(),
            inter_broker: None,
            host_name: "box".to_owned(),
        }
    }

    fn check(settings: &ListenerSettings) -> Result<Listeners, String> {
        let mut refused = Vec::new();
        let listeners = settings.resolve(&mut refused, &mut Vec::new());
        let reasons = refused.iter().map(|(key, reason)| format!("{key}: {reason}")).collect::<Vec<_>>();
        if reasons.is_empty() { Ok(listeners) } else { Err(reasons.join("\n")) }
    }

    fn shown(listeners: &[Listener]) -> Vec<String> {
        listeners.iter().map(Listener::to_string).collect()
    }

    #[test]
    fn a_listener_without_host_opens_everywhere_and_advertises_the_host_name() {
        let listeners = check(&settings("PLAINTEXT://:9092", None)).unwrap();
        assert_eq!(listeners.open[0].host, "");
        assert_eq!(shown(&listeners.advertised), ["PLAINTEXT://box:9092"]);
    }

    #[test]
    fn the_address_of_every_interface_is_not_advertised() {
        let refused = check(&settings("PLAINTEXT://0.0.0.0:9092", None)).unwrap_err();
        assert!(refused.starts_with("advertised.listeners: PLAINTEXT://0.0.0.0:9092"), "{refused}");
        let listeners =
            check(&settings("PLAINTEXT://0.0.0.0:9092", Some("PLAINTEXT://a.example:19092"))).unwrap();
        assert_eq!(shown(&listeners.open), ["PLAINTEXT://0.0.0.0:9092"]);
        assert_eq!(shown(&listeners.advertised), ["PLAINTEXT://a.example:19092"]);
    }

    #[test]
    fn several_listeners_keep_their_own_addresses() {
        let mut several = settings(
            "INTERNAL://:29092,external://0.0.0.0:9092",
            Some("INTERNAL://kafka:29092,EXTERNAL://localhost:9092"),
        );
        several.protocols = Some("internal:plaintext, EXTERNAL:PLAINTEXT".to_owned());
        several.inter_broker = Some("internal".to_owned());
        let listeners = check(&several).unwrap();
        assert_eq!(shown(&listeners.open), ["INTERNAL://:29092", "EXTERNAL://0.0.0.0:9092"]);
        assert_eq!(shown(&listeners.advertised), ["INTERNAL://kafka:29092", "EXTERNAL://localhost:9092"]);
        assert_eq!(listeners.inter_broker, "INTERNAL");
        several.inter_broker = None;
        let refused = check(&several).unwrap_err();
        assert!(refused.contains("PLAINTEXT is not among the advertised listeners"), "{refused}");
    }

    #[test]
    fn controller_listeners_are_not_opened_and_need_not_be_there() {
        let mut with_controller = settings("PLAINTEXT://h:9092,CONTROLLER://0.0.0.0:9093", None);
        with_controller.controllers = vec!["controller".to_owned(), "SECOND".to_owned()];
        let mut ignored = Vec::new();
        let mut refused = Vec::new();
        let listeners = with_controller.resolve(&mut refused, &mut ignored);
        assert_eq!(refused, []);
        assert_eq!(shown(&listeners.open), ["PLAINTEXT://h:9092"]);
        assert_eq!(shown(&listeners.advertised), ["PLAINTEXT://h:9092"]);
        assert_eq!(ignored.len(), 2);

        let mut only_controller = settings("CONTROLLER://h:9093", None);
        only_controller.controllers = vec!["CONTROLLER".to_owned()];
        assert!(check(&only_controller).unwrap_err().contains("every listener is the controller's"));
    }

    #[test]
    fn damaged_listeners_are_refused() {
        for (listeners, reason) in [
            ("PLAINTEXT", "not of the form"),
            ("PLAINTEXT:/h:1", "not of the form"),
            ("://h:9092", "no name"),
            ("PLAINTEXT://h", "no port"),
            ("PLAINTEXT://h:", "the port must be 0 to 65535"),
            ("PLAINTEXT://h:-1", "the port must be 0 to 65535"),
            ("PLAINTEXT://h:+1", "the port must be 0 to 65535"),
            ("PLAINTEXT://h:65536", "the port must be 0 to 65535"),
            ("PLAINTEXT://h:99999999999999999999", "the port must be 0 to 65535"),
            ("PLAINTEXT://h:9092/", "the port must be 0 to 65535"),
            ("PLAINTEXT://h h:9092", "h h is no host name"),
            ("PLAINTEXT://a:1,PLAINTEXT://b:2", "have one name"),
            ("PLAINTEXT://a:1,plaintext://b:2", "have one name"),
            ("PLAINTEXT://a:1,SSL://b:1", "have one port"),
            ("PLAINTEXT://127.0.0.1:1,SSL://:1", "have one port"),
            ("SSL://h:1", "SSL, and only PLAINTEXT is served"),
            ("SASL_PLAINTEXT://h:1", "SASL_PLAINTEXT, and only PLAINTEXT is served"),
            ("EXTERNAL://h:1", "EXTERNAL://h:1 has no protocol"),
            ("", "not of the form"),
        ] {
            let refused = check(&settings(listeners, None)).map(|l| shown(&l.open)).unwrap_err();
            assert!(refused.contains(reason), "{listeners}: {refused}");
        }
    }

    #[test]
    fn clients_must_be_told_an_address() {
        let mut untold = settings("PLAINTEXT://h:1", Some(""));
        untold.advertised = Some(Vec::new());
        assert!(check(&untold).unwrap_err().starts_with("advertised.listeners: there must be one"));
    }

    #[test]
    fn damaged_protocol_maps_are_refused() {
        for (map, reason) in [
            ("PLAINTEXT:TLS", "PLAINTEXT:TLS names no security protocol"),
            ("PLAINTEXT", "not of the form NAME:PROTOCOL"),
            ("OTHER:PLAINTEXT", "has no protocol"),
            ("PLAINTEXT:SASL_SSL", "SASL_SSL, and only PLAINTEXT is served"),
        ] {
            let mut mapped = settings("PLAINTEXT://h:1", None);
            mapped.protocols = Some(map.to_owned());
            let refused = check(&mapped).map(|l| shown(&l.open)).unwrap_err();
            assert!(refused.contains(reason), "{map}: {refused}");
        }
    }

    #[test]
    fn ipv4_and_ipv6_may_share_a_port() {
        let mut shared = settings("PLAINTEXT://127.0.0.1:1,SIX://[::1]:1", None);
        shared.protocols = Some("PLAINTEXT:PLAINTEXT,SIX:PLAINTEXT".to_owned());
        assert_eq!(shown(&check(&shared).unwrap().open), ["PLAINTEXT://127.0.0.1:1", "SIX://[::1]:1"]);
    }

    #[test]
    fn port_zero_may_be_taken_twice() {
        let mut free = settings("PLAINTEXT://h:0,OTHER://h:0", None);
        free.protocols = Some("PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT".to_owned());
        assert!(check(&free).is_ok());
    }

    #[test]
    fn advertising_what_is_not_opened_is_refused() {
        let refused = check(&settings("PLAINTEXT://h:1", Some("PLAINTEXT://h:1,OTHER://h:2"))).unwrap_err();
        assert!(refused.contains("OTHER is not among the listeners: PLAINTEXT"), "{refused}");
    }
}
