//! `QuorumState`: the file `quorum-state`, which says in which epoch this node has led last.
//!
//! ```text
//! {"leaderId":1,"leaderEpoch":5,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}
//! {"clusterId":"","leaderId":1,"leaderEpoch":5,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],
//!  "data_version":0}                                   one line; with kraft.version 0
//! ```

use logmill_engine::format::Uuid;

/// The file's name, in the directory of the metadata log.
pub(super) const FILE_NAME: &str = "quorum-state";

/// The file's content where this node leads, which is a quorum of one. With `has_voters` they stand in the log.
pub(super) fn write(node_id: i32, epoch: i32, has_voters: bool) -> String {
    let head = format!("\"leaderId\":{node_id},\"leaderEpoch\":{epoch},\"votedId\":-1");
    if has_voters {
        format!("{{{head},\"votedDirectoryId\":\"{}\",\"data_version\":1}}", Uuid::ZERO)
    } else {
        format!(
            "{{\"clusterId\":\"\",{head},\"appliedOffset\":0,\"currentVoters\":[{{\"voterId\":{node_id}}}],\
             \"data_version\":0}}"
        )
    }
}

/// The leader's epoch that the file says, or what is wrong with it.
pub(super) fn read_epoch(content: &[u8]) -> Result<i32, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    match number(text, "data_version") {
        Some(0 | 1) => (),
        other => return Err(format!("data_version {other:?}, expected 0 or 1: {text:?}")),
    }
    let epoch = number(text, "leaderEpoch").filter(|epoch| *epoch >= 0);
    epoch.and_then(|epoch| i32::try_from(epoch).ok()).ok_or_else(|| format!("no leaderEpoch: {text:?}"))
}

/// The number that stands behind a name. No name of the file is a part of another's, and no text in it has a
/// colon.
fn number(text: &str, name: &str) -> Option<i64> {
    let (_, behind) = text.split_once(&format!("\"{name}\""))?;
    let behind = behind.trim_start().strip_prefix(':')?.trim_start();
    let end = behind.find([',', '}'])?;
    behind[..end].trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_apache_kafkas_and_read_again() {
        assert_eq!(
            write(1, 5, true),
            r#"{"leaderId":1,"leaderEpoch":5,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#
        );
        assert_eq!(
            write(1, 5, false),
            r#"{"clusterId":"","leaderId":1,"leaderEpoch":5,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#
        );
        for has_voters in [false, true] {
            assert_eq!(read_epoch(write(3, i32::MAX, has_voters).as_bytes()), Ok(i32::MAX));
        }
        assert_eq!(read_epoch(b" { \"data_version\" : 1 , \"leaderEpoch\" : 7 }\n"), Ok(7));
    }

    #[test]
    fn damage_is_shown() {
        for content in [
            "",
            "{}",
            r#"{"leaderEpoch":5}"#,
            r#"{"leaderEpoch":5,"data_version":2}"#,
            r#"{"leaderEpoch":-1,"data_version":1}"#,
            r#"{"leaderEpoch":4294967296,"data_version":1}"#,
            r#"{"leaderEpoch":"5","data_version":1}"#,
            r#"{"leaderEpoch":5"#,
        ] {
            let error = read_epoch(content.as_bytes()).unwrap_err();
            assert!(error.contains(&format!("{content:?}")), "{error}");
        }
        assert!(read_epoch(&[0xff]).is_err());
    }
}
