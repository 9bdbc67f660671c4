//! What a client gets that does something wrong, or asks for offsets: the same from Logmill as from Apache
//! Kafka, request by request, over connections that repair nothing.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod people;
mod raw;

use std::thread;

use logmill_bench::rig::{ApacheOptions, Broker, Jars, JvmProfile, LogmillOptions};
use raw::{Client, NOT_EXPECTED, offsets, produce};

/// What one broker says.
struct Said {
    /// Line for line what the other one says.
    answers: Vec<String>,
    /// What is known to differ.
    codes: [&'static str; 3],
    /// What people get of our tools.
    people: Vec<String>,
}

/// Asks a broker everything, stops it, and looks at what it left.
fn ask(mut broker: Broker, jars: &Jars, has_metadata: bool) -> Said {
    let mut client = Client::new(broker.address());
    let mut answers = produce::answers(&mut client);
    answers.extend(offsets::answers(&mut client));
    let codes = produce::codes_that_differ(&mut client);
    let people = people::story(&broker);
    let log_dir = broker.log_dir();
    let used = people::logmill(&["log", "check", log_dir.to_str().unwrap()], "");
    assert!(used.code == Some(1) && used.err.contains("uses it"), "{used:?}");
    broker.stop().unwrap();
    people::files::check(&log_dir, jars, has_metadata);
    Said { answers, codes, people }
}

#[test]
fn the_same_errors_and_offsets_as_apache_kafka_and_tools_that_work_against_both() {
    let jars = Jars::fetched().unwrap();
    let (ours, theirs) = thread::scope(|scope| {
        let apache = scope.spawn(|| {
            let options = ApacheOptions::new(jars.clone());
            let options = ApacheOptions { profile: JvmProfile::QuickStart, heap: "512m".into(), ..options };
            ask(Broker::apache(options).unwrap(), &jars, true)
        });
        let logmill = LogmillOptions::new(env!("CARGO_BIN_EXE_logmill"));
        (ask(Broker::logmill(logmill).unwrap(), &jars, false), apache.join().unwrap())
    });
    let (our_codes, their_codes) = (ours.codes, theirs.codes);
    assert_eq!(ours.people.len(), theirs.people.len());
    for (ours, theirs) in ours.people.iter().zip(&theirs.people) {
        assert_eq!(ours, theirs);
    }
    let (ours, theirs) = (ours.answers, theirs.answers);
    assert_eq!(ours.len(), theirs.len());
    let different: String = ours
        .iter()
        .zip(&theirs)
        .filter(|(ours, theirs)| ours != theirs)
        .map(|(ours, theirs)| format!("\n  Apache Kafka  {theirs}\n  Logmill       {ours}"))
        .collect();
    assert!(different.is_empty(), "answered in another way:{different}");
    assert_eq!(our_codes, ["UNSUPPORTED_COMPRESSION_TYPE", "INVALID_TXN_STATE", "NONE"]);
    // What Apache Kafka says of the transaction depends on whether its coordinator is there yet.
    let [unknown_codec, _, large] = their_codes;
    assert_eq!([unknown_codec, large], ["UNKNOWN_SERVER_ERROR", "RECORD_LIST_TOO_LARGE"]);
    let unexpected: Vec<&String> = ours.iter().filter(|line| line.contains(NOT_EXPECTED)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}
