//! What a client gets that does something wrong, or asks for offsets: the same from Logmill as from Apache
//! Kafka, request by request, over connections that repair nothing.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod raw;

use std::thread;

use logmill_bench::rig::{ApacheOptions, Broker, Jars, JvmProfile, LogmillOptions};
use raw::{Client, NOT_EXPECTED, offsets, produce};

/// What one broker answers: a line a request, and what is known to differ.
fn answers(broker: &Broker) -> (Vec<String>, [&'static str; 3]) {
    let mut client = Client::new(broker.address());
    let mut answers = produce::answers(&mut client);
    answers.extend(offsets::answers(&mut client));
    (answers, produce::codes_that_differ(&mut client))
}

#[test]
fn the_same_errors_and_offsets_as_apache_kafka() {
    let jars = Jars::fetched().unwrap();
    let ((ours, our_codes), (theirs, their_codes)) = thread::scope(|scope| {
        let apache = scope.spawn(|| {
            let options = ApacheOptions::new(jars.clone());
            let options = ApacheOptions { profile: JvmProfile::QuickStart, heap: "512m".into(), ..options };
            answers(&Broker::apache(options).unwrap())
        });
        let logmill = LogmillOptions::new(env!("CARGO_BIN_EXE_logmill"));
        (answers(&Broker::logmill(logmill).unwrap()), apache.join().unwrap())
    });
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
