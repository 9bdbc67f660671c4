//! `MetaProperties`: the file `meta.properties`, which says whose a log directory is.
//!
//! ```text
//! cluster.id=MkU3OEVBNTcwNTJENDM2Qk
//! directory.id=AwMDAwMDAwMDAwMDAwMDAw
//! node.id=1
//! version=1
//! ```
//!
//! Version 0 has `broker.id`, and no directory's id.

use super::{Uuid, properties};

/// The file's name.
pub const FILE_NAME: &str = "meta.properties";

/// Whose a log directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster's id: any string.
    pub cluster_id: String,
    /// The broker's id.
    pub node_id: i32,
    /// The directory's own id, which version 0 lacks.
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// The file's content, of version 1.
    pub fn write(&self) -> String {
        let MetaProperties { cluster_id, node_id, directory_id } = self;
        let cluster_id = properties::escape(cluster_id);
        let directory = directory_id.map(|id| format!("directory.id={id}\n")).unwrap_or_default();
        format!("cluster.id={cluster_id}\n{directory}node.id={node_id}\nversion=1\n")
    }

    /// What a file says, or what is wrong with it.
    pub fn read(content: &[u8]) -> Result<MetaProperties, String> {
        let (entries, bad) = properties::parse(content);
        if let Some(line) = bad.first() {
            return Err(format!("line {}: {}", line.line, line.reason));
        }
        // As in Java, the last one of a key counts.
        let value = |key: &str| {
            entries.iter().rev().find(|property| property.key == key).map(|property| property.value.as_str())
        };
        let node_key = match value("version").unwrap_or("0") {
            "0" => "broker.id",
            "1" => "node.id",
            other => return Err(format!("version {other:?}, expected \"0\" or \"1\"")),
        };
        let node = value(node_key).ok_or_else(|| format!("no {node_key}"))?;
        let node_id = node.parse().map_err(|_| format!("{node_key} {node:?}, expected a number"))?;
        let cluster_id = value("cluster.id").ok_or("no cluster.id")?.to_owned();
        let directory_id = value("directory.id").map(str::parse).transpose();
        let directory_id =
            directory_id.map_err(|error: super::uuid::NotAUuid| format!("directory.id {error}"))?;
        Ok(MetaProperties { cluster_id, node_id, directory_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cluster_id: &str) -> MetaProperties {
        MetaProperties { cluster_id: cluster_id.to_owned(), node_id: 1, directory_id: Some(Uuid([3; 16])) }
    }

    #[test]
    fn what_is_written_is_read() {
        let expected = "cluster.id=c\ndirectory.id=AwMDAwMDAwMDAwMDAwMDAw\nnode.id=1\nversion=1\n";
        assert_eq!(of("c").write(), expected);
        for cluster_id in ["MkU3OEVBNTcwNTJENDM2Qk", " a=b:c\\d", "#größe", "\u{2028}\t"] {
            assert_eq!(MetaProperties::read(of(cluster_id).write().as_bytes()), Ok(of(cluster_id)));
        }
    }

    #[test]
    fn what_apache_kafka_wrote_is_read() {
        let content =
            b"#\n#Fri Nov 27 01:00:00 UTC 2026\nnode.id=1\ndirectory.id=AwMDAwMDAwMDAwMDAwMDAw\nversion=1\n\
                        cluster.id=c\n";
        assert_eq!(MetaProperties::read(content), Ok(of("c")));
        let older = b"version=0\nbroker.id=1\ncluster.id=c\n";
        assert_eq!(MetaProperties::read(older), Ok(MetaProperties { directory_id: None, ..of("c") }));
    }

    #[test]
    fn damage_is_named() {
        for (content, message) in [
            ("", "no broker.id"),
            ("version=2\nnode.id=1\ncluster.id=c\n", "version \"2\", expected \"0\" or \"1\""),
            ("version=1\ncluster.id=c\n", "no node.id"),
            ("version=1\nnode.id=x\ncluster.id=c\n", "node.id \"x\", expected a number"),
            ("version=1\nnode.id=1\n", "no cluster.id"),
        ] {
            assert_eq!(MetaProperties::read(content.as_bytes()), Err(message.to_owned()), "{content:?}");
        }
        let content = b"version=1\nnode.id=1\ncluster.id=c\ndirectory.id=x\n";
        assert!(MetaProperties::read(content).unwrap_err().starts_with("directory.id"));
    }
}
