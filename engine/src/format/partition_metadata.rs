//! `partition.metadata`: the file that says which topic a partition directory belongs to.
//!
//! ```text
//! version: 0
//! topic_id: <22 characters of URL-safe base64>
//! ```

use crate::format::Uuid;

/// The file's name.
pub const FILE_NAME: &str = "partition.metadata";

/// The file's content, without a newline at the end, as Apache Kafka writes it.
pub fn write(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// The topic id that the file names, or what is wrong with it.
pub fn read(content: &[u8]) -> Result<Uuid, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    let (mut version, mut topic_id) = (None, None);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("version", value)) => version = Some(value),
            Some(("topic_id", value)) => topic_id = Some(value),
            _ => return Err(format!("unexpected line {line:?}")),
        }
    }
    if version != Some("0") {
        return Err(format!("version {version:?}, expected \"0\""));
    }
    let id: Uuid = topic_id
        .ok_or("no topic_id")?
        .parse()
        .map_err(|error: crate::format::uuid::NotAUuid| error.to_string())?;
    if id == Uuid::ZERO {
        return Err("topic_id is all zeros".to_owned());
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let id = Uuid([7; 16]);
        assert_eq!(write(id), "version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw");
        assert_eq!(read(write(id).as_bytes()), Ok(id));
    }

    #[test]
    fn damage_is_named() {
        for (content, word) in [
            ("", "version"),
            ("version: 1\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw", "version"),
            ("version: 0", "topic_id"),
            ("version: 0\ntopic_id: xyz", "uuid"),
            ("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "zeros"),
            ("version: 0\nbroken", "broken"),
        ] {
            let error = read(content.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{content:?}: {error}");
        }
        assert!(read(&[0xff, 0xfe]).is_err());
    }
}
