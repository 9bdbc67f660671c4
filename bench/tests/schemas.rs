//! Our tables of messages, errors and versions are Apache Kafka's, as its own jars and a running broker
//! have them.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::{fs::File, io::Read};

use logmill_bench::rig::{ApacheOptions, Broker, Jars, JvmProfile, Tool, api_versions};
use logmill_server::group::records::RECORD_TYPES;
use logmill_server::metadata::records::{self, control::CONTROL_TYPES, quorum_state::QuorumStateData};
use logmill_server::wire::{APIS, ErrorCode, FieldSchema, Kind, Message, Schema, Versions, schemas};
use serde_json::Value;
use zip::ZipArchive;

/// A field of either side. `Display` of all fields, one a line, is what is compared.
struct Field {
    name: String,
    kind: String,
    versions: Versions,
    nullable: Versions,
    tag: Option<u64>,
    tagged: Versions,
    flexible: Versions,
    /// As a value of the type: `0x7fffffff` is a number like any, and no default is the type's.
    default: String,
    fields: Vec<Field>,
}

impl Field {
    /// Itself and what is inside it.
    fn tell(&self, depth: usize, out: &mut Vec<String>) {
        let Field { name, kind, versions, nullable, tagged, flexible, default, .. } = self;
        let tag = self.tag.map_or("none".to_owned(), |tag| tag.to_string());
        out.push(format!(
            "{:indent$}{name}: {kind} {versions}, nullable {nullable}, tag {tag} in {tagged}, \
             flexible {flexible}, default {default}",
            "",
            indent = depth * 2
        ));
        for field in &self.fields {
            field.tell(depth + 1, out);
        }
    }
}

fn told(valid: Versions, flexible: Versions, fields: &[Field]) -> Vec<String> {
    let mut lines = vec![format!("valid {valid}, flexible {flexible}")];
    fields.iter().for_each(|field| field.tell(0, &mut lines));
    lines
}

/// What a default of the notation of the definitions means for a type.
fn default_value(kind: &str, default: Option<&str>) -> String {
    let is_number = kind.starts_with("int") || kind.starts_with("uint") || kind.starts_with("float");
    match default {
        Some(hex) if hex.starts_with("0x") => i64::from_str_radix(&hex[2..], 16).unwrap().to_string(),
        Some("") if is_number => "0".into(),
        Some("") if kind == "bool" => "false".into(),
        Some(text) => text.into(),
        None if is_number => "0".into(),
        None if kind == "bool" => "false".into(),
        None if kind == "records" => "null".into(),
        None => String::new(),
    }
}

fn our_fields(fields: &[FieldSchema]) -> Vec<Field> {
    let of = |field: &FieldSchema| {
        let kind = field.kind.to_string();
        let inner = match field.kind {
            Kind::Array(&Kind::Struct(inner)) | Kind::Struct(inner) => our_fields(inner.fields),
            _ => Vec::new(),
        };
        Field {
            name: field.name.into(),
            versions: field.versions,
            nullable: field.nullable,
            tag: field.tag.map(u64::from),
            tagged: field.tagged,
            flexible: field.flexible,
            default: default_value(&kind, field.default),
            fields: inner,
            kind,
        }
    };
    fields.iter().map(of).collect()
}

/// The fields of a struct of Apache's; `message` has the structs that stand beside it.
fn apaches_fields(fields: &Value, message: &Value) -> Vec<Field> {
    let text = |field: &Value, key: &str| match &field[key] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let of = |field: &Value| {
        let kind = text(field, "type").unwrap();
        let versions = |key: &str| text(field, key).map(|versions| Versions::parse(&versions));
        let inner = match &field["fields"] {
            Value::Null => beside(kind.trim_start_matches("[]"), message),
            inner => inner,
        };
        Field {
            name: text(field, "name").unwrap(),
            versions: versions("versions").unwrap(),
            nullable: versions("nullableVersions").unwrap_or(Versions::NONE),
            tag: field["tag"].as_u64(),
            tagged: versions("taggedVersions").unwrap_or(Versions::NONE),
            flexible: versions("flexibleVersions").unwrap_or(Versions::ALL),
            default: default_value(&kind, text(field, "default").as_deref()),
            fields: apaches_fields(inner, message),
            kind,
        }
    };
    fields.as_array().map_or_else(Vec::new, |fields| fields.iter().map(of).collect())
}

fn beside<'a>(name: &str, message: &'a Value) -> &'a Value {
    let structs = message["commonStructs"].as_array().into_iter().flatten();
    structs.into_iter().find(|part| part["name"] == name).map_or(&Value::Null, |part| &part["fields"])
}

/// Apache's definitions have comments, which JSON has not.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let quotes_before = |at: usize| line[..at].matches('"').count();
        let comment = line.match_indices("//").map(|(at, _)| at).find(|&at| quotes_before(at) % 2 == 0);
        comment.map_or(line, |at| &line[..at])
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Apache's definition of a message.
fn definition(jar: &mut ZipArchive<File>, name: &str) -> Value {
    definition_at(jar, &format!("common/message/{name}.json"))
}

fn definition_at(jar: &mut ZipArchive<File>, path: &str) -> Value {
    let mut text = String::new();
    jar.by_name(path).unwrap().read_to_string(&mut text).unwrap();
    serde_json::from_str(&without_comments(&text)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The definitions in the jar of an artifact.
fn definitions(jars: &Jars, artifact: &str) -> ZipArchive<File> {
    ZipArchive::new(File::open(jars.jar(artifact).unwrap()).unwrap()).unwrap()
}

/// How a table of ours differs from Apache's definition; empty when it does not.
fn difference(Schema { name, valid, flexible, fields }: &Schema, message: &Value) -> String {
    assert_eq!(message["name"], **name);
    let versions = |key: &str| Versions::parse(message[key].as_str().unwrap());
    let fields_of_theirs = apaches_fields(&message["fields"], message);
    let theirs = told(versions("validVersions"), versions("flexibleVersions"), &fields_of_theirs);
    let ours = told(*valid, *flexible, &our_fields(fields));
    if ours == theirs {
        return String::new();
    }
    let mut difference = format!("\n{name}:\n");
    let mut sorted = [ours.clone(), theirs.clone()];
    sorted.iter_mut().for_each(|lines| lines.sort());
    if sorted[0] == sorted[1] {
        difference += "  the same fields in another order\n";
    }
    for line in theirs.iter().filter(|line| !ours.contains(line)) {
        difference += &format!("- {line}\n");
    }
    for line in ours.iter().filter(|line| !theirs.contains(line)) {
        difference += &format!("+ {line}\n");
    }
    difference
}

#[test]
fn every_table_is_apaches_definition() {
    let jars = Jars::fetched().unwrap();
    let mut jar = definitions(&jars, "kafka-clients");
    let differences: Vec<String> =
        schemas().map(|schema| difference(schema, &definition(&mut jar, schema.name))).collect();
    let tables = differences.len();
    let differences = differences.concat();
    assert!(differences.is_empty(), "ours (+) differ from Apache's (-):\n{differences}");
    assert!(tables >= 2 * APIS.len(), "only {tables} tables");
}

#[test]
fn every_record_of_the_group_coordinator_is_apaches_definition() {
    let jars = Jars::fetched().unwrap();
    let mut jar = definitions(&jars, "kafka-group-coordinator");
    let mut differences = String::new();
    for (record_type, key, value) in &RECORD_TYPES {
        for schema in [key, value] {
            let message = definition(&mut jar, schema.name);
            assert_eq!(message["apiKey"], *record_type, "{}", schema.name);
            differences += &difference(schema, &message);
        }
    }
    assert!(differences.is_empty(), "ours (+) differ from Apache's (-):\n{differences}");
}

#[test]
fn every_record_of_the_metadata_log_is_apaches_definition_and_none_is_missing() {
    let jars = Jars::fetched().unwrap();
    let mut jar = definitions(&jars, "kafka-metadata");
    let mut differences = String::new();
    let paths: Vec<String> =
        jar.file_names().filter(|name| name.ends_with(".json")).map(Into::into).collect();
    let mut theirs = Vec::new();
    for definition in paths.iter().map(|path| definition_at(&mut jar, path)) {
        if definition["type"] != "metadata" {
            continue;
        }
        let number = definition["apiKey"].as_u64().unwrap() as u32;
        let (_, schema) = records::RECORD_TYPES
            .iter()
            .find(|(ours, _)| *ours == number)
            .unwrap_or_else(|| panic!("{} has no table", definition["name"]));
        differences += &difference(schema, &definition);
        theirs.push(number);
    }
    theirs.sort_unstable();
    assert!(differences.is_empty(), "ours (+) differ from Apache's (-):\n{differences}");
    assert_eq!(records::RECORD_TYPES.map(|(number, _)| number).to_vec(), theirs);
}

#[test]
fn every_record_of_the_quorum_is_apaches_definition() {
    let jars = Jars::fetched().unwrap();
    let mut clients = definitions(&jars, "kafka-clients");
    let mut raft = definitions(&jars, "kafka-raft");
    let mut differences: String = CONTROL_TYPES
        .iter()
        .map(|(_, schema)| difference(schema, &definition(&mut clients, schema.name)))
        .collect();
    let schema = QuorumStateData::SCHEMA;
    differences += &difference(schema, &definition(&mut raft, schema.name));
    assert!(differences.is_empty(), "ours (+) differ from Apache's (-):\n{differences}");
}

#[test]
fn every_error_is_apaches() {
    let jars = Jars::fetched().unwrap();
    // Its main method prints the table of the protocol's documentation.
    let output = Tool::new(&jars, "org.apache.kafka.common.protocol.Errors").run().unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("<tr><td>")?.split("</td><td>").collect();
        Some((cells[0].to_owned(), cells[1].parse::<i16>().unwrap(), cells[2] == "True"))
    };
    let theirs: Vec<_> = output.stdout.lines().filter_map(row).collect();
    let ours: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|error| (error.name().to_owned(), error.code(), error.is_retriable()))
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn every_api_is_offered_in_the_versions_of_a_running_apache_kafka() {
    let options = ApacheOptions::new(Jars::fetched().unwrap());
    let options = ApacheOptions { profile: JvmProfile::QuickStart, heap: "256m".into(), ..options };
    let apache = Broker::apache(options).unwrap();
    let theirs = api_versions(apache.address()).unwrap();
    drop(apache);
    for row in APIS {
        let ours = (row.advertised.min, row.advertised.max);
        assert_eq!(theirs.get(&row.key()), Some(&ours), "{} {}", row.key(), row.name);
    }
}
