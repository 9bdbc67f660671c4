//! `logmill bench power`: a broker under load on a disk that loses its power, again and again.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::proof;
use super::subject::{CommonArgs, Subject};
use crate::device::{Afterwards, Cut, FileSystem, Loss, Volume, VolumeOptions, When, private};
use crate::rig::Error;

/// A disk is made anew after so many cuts, so that what is read back stays small.
const CUTS_OF_A_DISK: u32 = 5;

/// The disk holds this much, in memory.
const DISK_BYTES: u64 = 1 << 30;

const PARTITIONS: usize = 8;

/// Sectors of one disk and of the next.
const SECTOR_BYTES: [u32; 2] = [512, 4096];

/// How slow one pair of disks and the next are. With the second, more is under way when the power goes.
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(1)];

/// A cut that waits for a write or a flush comes at once when there is none for so long.
const MOMENT_MAX: Duration = Duration::from_secs(5);

/// Cuts within which a broker that acknowledges from the page cache has to be caught.
const CUTS_UNTIL_CAUGHT: u32 = 3;

/// Power cuts of the real broker: every acknowledged record, and all that a reader saw, is there after each.
/// Needs root.
#[derive(Debug, clap::Args)]
pub struct PowerArgs {
    /// How often the power goes.
    #[arg(long, default_value_t = 10)]
    cuts: u32,
    /// What is on the disk.
    #[arg(long, value_enum, default_value = "ext4")]
    file_system: FileSystem,
    /// Acknowledges from the page cache, and succeeds when that is seen to lose records.
    #[arg(long)]
    to_be_caught: bool,
    /// Leaves out the check of the disk itself.
    #[arg(long)]
    without_proof: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// What is chosen for a cut.
#[derive(Debug)]
struct Plan {
    /// Records acknowledged before it.
    records: u64,
    cut: Cut,
    /// Whether the power goes once more while the broker starts.
    second: Option<Cut>,
    /// How long the broker lives on without power.
    aftermath: Duration,
}

impl PowerArgs {
    /// So many cuts on a kind of file system.
    pub(super) fn on(file_system: FileSystem, cuts: u32, common: CommonArgs) -> PowerArgs {
        PowerArgs { cuts, file_system, to_be_caught: false, without_proof: false, common }
    }

    /// Cuts, prints a line for each, and ends at the first contradiction.
    pub fn run(&self) -> Result<(), Error> {
        private::enter().map_err(Error::io("making mounts that nobody else sees"))?;
        self.run_in_private()
    }

    /// As `run`, where mounts are private already.
    pub(super) fn run_in_private(&self) -> Result<(), Error> {
        if !self.without_proof {
            for sector_bytes in SECTOR_BYTES {
                proof::prove(self.volume(sector_bytes)?)?;
                println!(
                    "disk: {} on sectors of {sector_bytes} bytes keeps what is synced, and nothing else",
                    self.file_system
                );
            }
        }
        let seed = self.common.seed();
        if self.to_be_caught {
            return self.catch(seed);
        }
        let mut left = self.cuts;
        for disk in 0.. {
            if left == 0 {
                break;
            }
            let cuts = left.min(CUTS_OF_A_DISK);
            self.cut_a_disk(seed + disk, cuts, &[])?;
            left -= cuts;
        }
        println!("power: {} cuts on {}, nothing lost", self.cuts, self.file_system);
        Ok(())
    }

    /// A broker that acknowledges from the page cache has to be found out.
    fn catch(&self, seed: u64) -> Result<(), Error> {
        let page_cache = [("logmill.ack".to_owned(), "page-cache".to_owned())];
        match self.cut_a_disk(seed, CUTS_UNTIL_CAUGHT, &page_cache) {
            Ok(()) => Err(Error::Failed {
                what: format!(
                    "seed {seed}: {CUTS_UNTIL_CAUGHT} cuts of a broker that syncs nothing lost nothing"
                ),
                output: String::new(),
            }),
            Err(error) if error.to_string().contains("lost: ") => {
                println!("power: seed {seed}: a broker that acknowledges from the page cache is caught");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn volume(&self, sector_bytes: u32) -> Result<VolumeOptions, Error> {
        Ok(VolumeOptions {
            logmill: self.common.logmill()?,
            root: self.common.root()?,
            file_system: self.file_system,
            bytes: DISK_BYTES,
            sector_bytes,
        })
    }

    fn cut_a_disk(&self, seed: u64, cuts: u32, properties: &[(String, String)]) -> Result<(), Error> {
        let sector_bytes = SECTOR_BYTES[(seed % 2) as usize];
        let mut random = StdRng::seed_from_u64(seed);
        let mut volume = Volume::make(self.volume(sector_bytes)?)?;
        let mut options = self.common.broker(&[&volume.path().join("data")])?;
        options.properties.extend_from_slice(properties);
        let mut subject = Subject::start(options, seed, PARTITIONS, Ok)?;
        volume.delay(DELAYS[(seed / 2 % 2) as usize])?;
        for nth in 1..=cuts {
            let plan = Plan::draw(&mut random);
            let name = format!("power: seed {seed} cut {nth} ({}, {sector_bytes} B)", self.file_system);
            let lost = cut_once(&mut subject, &mut volume, &plan)
                .and_then(|lost| subject.check().map(|()| lost))
                .map_err(|error| Error::Failed {
                    what: format!("{name}: {plan:?}"),
                    output: error.to_string(),
                })?;
            let tally = subject.book.tally();
            println!(
                "{name}: {}{}, {lost}; {} acknowledged, {} there; serves after {:.3} s",
                plan.cut,
                if plan.second.is_some() { " and at the start" } else { "" },
                tally.acknowledged,
                tally.known,
                subject.broker.start_time().as_secs_f64()
            );
        }
        subject.finish().map_err(|error| Error::Failed {
            what: format!("power: seed {seed}, the end"),
            output: error.to_string(),
        })?;
        Ok(())
    }
}

/// Load, cut, SIGKILL, reboot, start. Says what the disk lost.
fn cut_once(subject: &mut Subject, volume: &mut Volume, plan: &Plan) -> Result<String, Error> {
    subject.load(plan.records)?;
    volume.cut(plan.cut)?;
    let lost = await_cut(volume, plan.cut)?;
    std::thread::sleep(plan.aftermath);
    end(subject, volume)?;
    subject.clients.hold();
    volume.reboot()?;
    if let Some(second) = plan.second {
        volume.cut(second)?;
        let started = subject.broker.restart();
        // A start that failed did so because of the cut, whose news may be a moment behind.
        let news_max = if started.is_err() { MOMENT_MAX } else { Duration::ZERO };
        let is_cut = volume.await_cut(Instant::now() + news_max)?.is_some();
        match started {
            Ok(()) if !is_cut => {
                // Its moment did not come: it is taken back.
                volume.release()?;
                return Ok(lost);
            }
            Err(error) if !is_cut => return Err(error),
            _ => {
                end(subject, volume)?;
                volume.reboot()?;
            }
        }
    }
    subject.broker.restart()?;
    Ok(lost)
}

fn await_cut(volume: &mut Volume, cut: Cut) -> Result<String, Error> {
    if let Some(lost) = volume.await_cut(Instant::now() + MOMENT_MAX)? {
        return Ok(lost);
    }
    volume.cut(Cut { when: When::Now, ..cut })?;
    let lost = volume.await_cut(Instant::now() + MOMENT_MAX)?;
    lost.ok_or_else(|| Error::Failed { what: "the disk does not lose power".into(), output: String::new() })
}

/// Ends the broker, which may wait for a silent disk.
fn end(subject: &mut Subject, volume: &mut Volume) -> Result<(), Error> {
    subject.send_kill();
    volume.release()?;
    subject.broker.kill();
    Ok(())
}

impl Plan {
    fn draw(random: &mut StdRng) -> Plan {
        let second = random
            .random_bool(0.3)
            .then(|| Cut { afterwards: Afterwards::Errors, ..draw_cut(random, false) });
        Plan {
            records: random.random_range(1..4_000),
            cut: draw_cut(random, true),
            second,
            aftermath: Duration::from_millis(random.random_range(0..30)),
        }
    }
}

/// `at_once`: or only at a write or a flush.
fn draw_cut(random: &mut StdRng, at_once: bool) -> Cut {
    let when = match random.random_range(if at_once { 0 } else { 1 }..5) {
        0 => When::Now,
        1 | 2 => When::AtFlush(random.random_range(1..=6)),
        _ => When::AtWrite(random.random_range(1..=30)),
    };
    let loss = match random.random_range(0..10) {
        0..4 => Loss::All,
        4..9 => Loss::Some(random.random()),
        _ => Loss::Nothing,
    };
    let afterwards = if random.random() { Afterwards::Silent } else { Afterwards::Errors };
    Cut { when, loss, afterwards }
}
