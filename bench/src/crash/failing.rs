//! `logmill bench failing`: one of two log directories is on a disk whose writes fail. The other one serves
//! on, and after a restart nothing is served that the disk does not have, whatever the page cache says.

use std::path::Path;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;

use super::subject::{CommonArgs, Subject, TOPIC};
use crate::device::{Afterwards, Cut, Failure, FileSystem, Loss, Volume, VolumeOptions, When, private};
use crate::ledger::{Clients, fetch_code};
use crate::rig::directory::RunDirectory;
use crate::rig::{Broker, Error};

const DISK_BYTES: u64 = 1 << 30;
const PARTITIONS: usize = 8;

/// Records acknowledged before the disk fails, and again by the directory that serves on.
const RECORDS: u64 = 2_000;

/// How long a broker without its first directory may take to end.
const END_MAX: Duration = Duration::from_secs(10);

/// Failing disks under one of two log directories. Needs root.
#[derive(Debug, clap::Args)]
pub struct FailingArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// Which directory is on the failing disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The first, which holds what is known of topics.
    First,
    Second,
}

impl FailingArgs {
    /// Every error at every place, a line for each; returns at the first contradiction.
    pub fn run(&self) -> Result<(), Error> {
        private::enter().map_err(Error::io("making mounts that nobody else sees"))?;
        let mut seed = self.common.seed();
        for place in [Place::Second, Place::First] {
            for failure in [Failure::Io, Failure::NoSpace] {
                let name = format!("failing: seed {seed}: {failure:?} in the {place:?} directory");
                self.fail(seed, place, failure)
                    .map(|how| println!("{name}: {how}"))
                    .map_err(|error| Error::Failed { what: name.clone(), output: error.to_string() })?;
                seed += 1;
            }
        }
        Ok(())
    }

    fn fail(&self, seed: u64, place: Place, failure: Failure) -> Result<String, Error> {
        let root = self.common.root()?;
        let mut volume = Volume::make(VolumeOptions {
            logmill: self.common.logmill()?,
            root: root.clone(),
            // One with a journal would make itself read-only, and the page cache of no use.
            file_system: FileSystem::Ext4NoJournal,
            bytes: DISK_BYTES,
            sector_bytes: 512,
        })?;
        let healthy = RunDirectory::create(&root)?;
        let [fails, serves] = [volume.path().join("data"), healthy.path().join("data")];
        let dirs = if place == Place::First { [&fails, &serves] } else { [&serves, &fails] };
        let broker = Broker::logmill(self.common.broker(&dirs.map(|dir| dir.as_path()))?)?;
        let address = broker.address();
        Clients::create_topic(address, TOPIC, PARTITIONS).map_err(Error::io("making the topic"))?;
        let [on_failing, on_serving] = [partitions_in(&fails), partitions_in(&serves)];
        let producers = vec![on_serving.clone(), on_failing.clone(), on_serving, on_failing.clone()];
        let mut subject = Subject::load_from(broker, address, producers, seed);

        subject.load(RECORDS)?;
        volume.fail(failure)?;
        let how = match place {
            Place::First => ends_by_itself(&mut subject)?,
            Place::Second => serves_on(&mut subject, &on_failing)?,
        };
        subject.clients.hold();
        volume.heal()?;
        subject.broker.restart()?;
        subject.check()?;
        // What was served just now came from the disk, or from a page cache that has what the disk lacks.
        subject.broker.kill();
        volume.cut(Cut { when: When::Now, loss: Loss::All, afterwards: Afterwards::Errors })?;
        volume.reboot()?;
        subject.broker.restart()?;
        subject.check()?;
        let tally = subject.book.tally();
        subject.finish()?;
        Ok(format!("{how}; {} acknowledged, {} there", tally.acknowledged, tally.known))
    }
}

/// The failing directory's partitions answer that it failed; the other's serve on, until a clean stop.
fn serves_on(subject: &mut Subject, on_failing: &[i32]) -> Result<String, Error> {
    // The first sync fails, and no producer of that directory gets an answer any more.
    subject.load(RECORDS)?;
    // What is acknowledged while it is read would be missed.
    subject.clients.hold();
    subject.check_without(on_failing)?;
    for &partition in on_failing {
        let code = fetch_code(subject.broker.address(), TOPIC, partition).map_err(Error::io("fetching"))?;
        if code != ResponseError::KafkaStorageError.code() {
            let what = format!("partition {partition} of the failed directory answers {code}");
            return Err(Error::with_log(what, &subject.broker.log_file()));
        }
    }
    let status = subject.broker.stop()?;
    Ok(format!(
        "the other one served on; the stop ended with {}",
        status.map_or(String::new(), |s| s.to_string())
    ))
}

fn ends_by_itself(subject: &mut Subject) -> Result<String, Error> {
    match subject.broker.await_end(Instant::now() + END_MAX) {
        Some(status) if !status.success() => Ok(format!("ended with {status}")),
        status => {
            let what = format!("without its first directory, the broker's end is {status:?}");
            Err(Error::with_log(what, &subject.broker.log_file()))
        }
    }
}

/// Which partitions of the topic lie in a log directory.
fn partitions_in(dir: &Path) -> Vec<i32> {
    (0..PARTITIONS as i32).filter(|partition| dir.join(format!("{TOPIC}-{partition}")).is_dir()).collect()
}
