//! `.kafka_cleanshutdown`: what a clean stop leaves in a log directory.
//!
//! ```text
//! {"version":0,"brokerEpoch":-1}
//! ```

/// The file's name.
pub const FILE_NAME: &str = ".kafka_cleanshutdown";
/// The epoch of a broker that has none.
pub const NO_EPOCH: i64 = -1;

/// The file's content.
pub fn write(broker_epoch: i64) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}")
}

/// The epoch of the broker that stopped, or what is wrong with the file. Older brokers left an empty one.
pub fn read(content: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?.trim();
    if text.is_empty() {
        return Ok(NO_EPOCH);
    }
    let refuse = || format!("{text:?}, expected {:?}", write(NO_EPOCH));
    let members =
        text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(refuse)?.split(',');
    let (mut version, mut broker_epoch) = (None, None);
    for member in members {
        let (name, value) = member.split_once(':').ok_or_else(refuse)?;
        let value: i64 = value.trim().parse().map_err(|_| refuse())?;
        match name.trim() {
            "\"version\"" => version = Some(value),
            "\"brokerEpoch\"" => broker_epoch = Some(value),
            _ => return Err(refuse()),
        }
    }
    if version == Some(0) { broker_epoch.ok_or_else(refuse) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(write(-1), r#"{"version":0,"brokerEpoch":-1}"#);
        for epoch in [-1, 0, i64::MAX] {
            assert_eq!(read(write(epoch).as_bytes()), Ok(epoch));
        }
        assert_eq!(read(b" { \"brokerEpoch\" : 7 , \"version\" : 0 }\n"), Ok(7));
    }

    #[test]
    fn an_empty_file_is_an_older_brokers() {
        assert_eq!(read(b""), Ok(NO_EPOCH));
    }

    #[test]
    fn damage_is_shown() {
        for content in [
            "{}",
            "0",
            r#"{"version":0}"#,
            r#"{"version":1,"brokerEpoch":5}"#,
            r#"{"version":0,"brokerEpoch":5"#,
            r#"{"version":0,"brokerEpoch":"5"}"#,
            r#"{"version":0,"brokerEpoch":5,"more":6}"#,
        ] {
            let error = read(content.as_bytes()).unwrap_err();
            assert_eq!(error, format!("{content:?}, expected {:?}", write(-1)));
        }
        assert!(read(&[0xff]).is_err());
    }
}
