//! The cases: which ways are put beside each other, and what is wanted of them.

use logmill_engine::partition::Ack;
use logmill_engine::shard::CommitLimits;

use super::Settings;
use super::bare;
use super::ground::{Ground, Way};
use super::load::{Figures, Load, Until};
use super::meter::{Times, median};
use super::report::{Bound, Report};

/// Partitions of the large cases.
const MANY: i32 = 1_000;
const SMALL: usize = 4 << 10;
const MIDDLE: usize = 64 << 10;
const LARGE: usize = 1 << 20;
/// The part of the journal that a burst within it fills.
const BURST_SHARE: f64 = 0.7;
/// How much longer a tail may be and still be called the same: tails of two equal legs differ by that.
const SAME_TAIL: f64 = 1.25;

type Case = fn(&Settings, &Ground, &mut Report);

/// All of them, by the names that `--only` takes.
pub(crate) const CASES: [(&str, Case); 8] = [
    ("burst", burst),
    ("sustained", sustained),
    ("curve", curve),
    ("lone", lone),
    ("large", large),
    ("middle", middle),
    ("mixed", mixed),
    ("steady", steady),
];

impl Settings {
    fn page_cache(&self) -> Way {
        Way { ack: Ack::PageCache, journal_bytes: None, limits: self.limits }
    }

    fn durable(&self) -> Way {
        Way { ack: Ack::Durable, journal_bytes: Some(self.journal_bytes()), limits: self.limits }
    }

    /// Everything is synced where it lies.
    fn all_direct(&self) -> Way {
        Way { journal_bytes: None, ..self.durable() }
    }

    /// Everything goes through the journal that finds room there.
    fn all_journal(&self) -> Way {
        Way { limits: CommitLimits { direct_partitions_max: 0, ..self.limits }, ..self.durable() }
    }

    fn seconds(&self, full: f64) -> f64 {
        if self.quick { 0.1 } else { full * self.scale }
    }

    fn count(&self, full: usize) -> usize {
        if self.quick { 2 } else { full }
    }
}

/// One leg of each kind after the other, as often as there are rounds: all figures of each kind.
fn alternate<const N: usize>(
    settings: &Settings,
    mut legs: [(&str, &mut dyn FnMut() -> Figures); N],
) -> [Vec<Figures>; N] {
    let mut found = [const { Vec::new() }; N];
    for round in 1..=settings.rounds() {
        for (figures, (name, leg)) in found.iter_mut().zip(&mut legs) {
            if !settings.has_way(name) {
                continue;
            }
            let one = leg();
            eprintln!(
                "  round {round} {name}: {:.0} appends/s, {:.0} MB/s, {:.2} us CPU an append",
                one.appends_per_second(),
                one.bytes / one.seconds / 1e6,
                one.cpu_micros_per_append()
            );
            figures.push(one);
        }
    }
    found
}

fn throughput(figures: &Figures) -> f64 {
    figures.bytes / figures.seconds
}

fn burst(settings: &Settings, ground: &Ground, report: &mut Report) {
    let load = Load::new(MANY, SMALL, SMALL);
    let bytes = (settings.journal_bytes() as f64 * BURST_SHARE) as u64;
    let until = if settings.quick { Until::Seconds(0.1) } else { Until::Bytes(bytes) };
    let [cached, durable] = alternate(
        settings,
        [
            ("page cache", &mut || load.flood(ground, &settings.page_cache(), until)),
            ("durable", &mut || load.flood(ground, &settings.durable(), until)),
        ],
    );
    report.add("burst, 1,000 x 4 KiB", &[("page cache", &cached), ("durable", &durable)]);
    report.judge(
        "appends/s, burst / page cache",
        Figures::appends_per_second,
        &durable,
        &cached,
        Bound::Least(0.75),
    );
    report.judge(
        "CPU an append, burst / page cache",
        Figures::cpu_micros_per_append,
        &durable,
        &cached,
        Bound::Most(1.6),
    );
}

fn sustained(settings: &Settings, ground: &Ground, report: &mut Report) {
    let load = Load::new(MANY, SMALL, SMALL);
    let long = Until::Seconds(settings.seconds(60.0));
    let short = Until::Seconds(settings.seconds(10.0));
    let [cached, durable, direct] = alternate(
        settings,
        [
            ("page cache", &mut || load.flood(ground, &settings.page_cache(), long)),
            ("durable", &mut || load.flood(ground, &settings.durable(), long)),
            ("a sync for each file", &mut || load.flood(ground, &settings.all_direct(), short)),
        ],
    );
    report.add(
        "sustained, 1,000 x 4 KiB",
        &[("page cache", &cached), ("durable", &durable), ("a sync for each file", &direct)],
    );
    let speed = Figures::appends_per_second;
    report.judge("appends/s, sustained / page cache", speed, &durable, &cached, Bound::Least(0.65));
    report.judge("appends/s, sustained / a sync for each file", speed, &durable, &direct, Bound::Least(6.0));
    report.judge(
        "CPU an append, sustained / page cache",
        Figures::cpu_micros_per_append,
        &durable,
        &cached,
        Bound::Most(1.6),
    );
    report.require("turns of the journal", median(durable.iter().map(Figures::turns)), Bound::Least(5.0));
}

fn curve(settings: &Settings, ground: &Ground, report: &mut Report) {
    let mut at_16 = Vec::new();
    for (partitions, rounds) in [(1, 4_000), (16, 3_000), (64, 1_500), (256, 400), (MANY, 100)] {
        let load = Load::new(partitions, SMALL, SMALL);
        let rounds = settings.count((rounds as f64 * settings.scale) as usize);
        let [bare, durable] = alternate(
            settings,
            [
                ("bare loop", &mut || bare::journal_loop(ground, partitions, SMALL, rounds)),
                ("durable", &mut || load.rounds(ground, &settings.durable(), rounds)),
            ],
        );
        report
            .add(&format!("a round of {partitions} x 4 KiB"), &[("bare loop", &bare), ("durable", &durable)]);
        let time = Figures::micros_per_append;
        report.judge(
            &format!("time an append, {partitions} / bare loop"),
            time,
            &durable,
            &bare,
            Bound::Most(1.5),
        );
        match partitions {
            16 => at_16 = durable,
            MANY => report.judge(
                "time an append, 1,000 / 16 partitions",
                time,
                &durable,
                &at_16,
                Bound::Most(1.1),
            ),
            _ => (),
        }
    }
}

fn lone(settings: &Settings, ground: &Ground, report: &mut Report) {
    let load = Load::new(1, SMALL, SMALL);
    let rounds = settings.count((4_000.0 * settings.scale) as usize);
    let [bare, durable] = alternate(
        settings,
        [
            ("write and data sync, prewritten", &mut || bare::sync_loop(ground, SMALL, rounds, false)),
            ("durable", &mut || load.rounds(ground, &settings.durable(), rounds)),
        ],
    );
    report.add("one 4 KiB at a time", &[("write and data sync, prewritten", &bare), ("durable", &durable)]);
    report.judge(
        "time, 1 x 4 KiB / write and data sync",
        Figures::micros_per_append,
        &durable,
        &bare,
        Bound::Most(1.25),
    );
}

fn large(settings: &Settings, ground: &Ground, report: &mut Report) {
    let load = Load::new(1, LARGE, LARGE);
    let rounds = settings.count((800.0 * settings.scale) as usize);
    let [bare, durable] = alternate(
        settings,
        [
            ("write and sync, growing", &mut || bare::sync_loop(ground, LARGE, rounds, true)),
            ("durable", &mut || load.rounds(ground, &settings.durable(), rounds)),
        ],
    );
    report.add("one 1 MiB at a time", &[("write and sync, growing", &bare), ("durable", &durable)]);
    report.judge("MB/s, 1 x 1 MiB / write and sync", throughput, &durable, &bare, Bound::Least(0.9));
}

/// The default beside both pure ways: all figures of each.
fn three_ways(settings: &Settings, ground: &Ground, load: &Load, until: Until) -> [Vec<Figures>; 3] {
    alternate(
        settings,
        [
            ("durable", &mut || load.flood(ground, &settings.durable(), until)),
            ("all journal", &mut || load.flood(ground, &settings.all_journal(), until)),
            ("all direct", &mut || load.flood(ground, &settings.all_direct(), until)),
        ],
    )
}

fn middle(settings: &Settings, ground: &Ground, report: &mut Report) {
    let load = Load::new(16, MIDDLE, MIDDLE);
    let until = Until::Seconds(settings.seconds(4.0));
    let [durable, journal, direct] = three_ways(settings, ground, &load, until);
    report.add("16 x 64 KiB", &[("durable", &durable), ("all journal", &journal), ("all direct", &direct)]);
    judge_best(report, "MB/s, 16 x 64 KiB", &durable, [&journal, &direct], 0.95);
    let tail = |figures: &Figures| figures.waves.clone().quantile(0.99);
    report.judge("p99 of a wave, 16 x 64 KiB / all direct", tail, &durable, &direct, Bound::Most(SAME_TAIL));
}

fn mixed(settings: &Settings, ground: &Ground, report: &mut Report) {
    let load = Load::new(MANY, SMALL, LARGE);
    let until = Until::Seconds(settings.seconds(5.0));
    let [durable, journal, direct] = three_ways(settings, ground, &load, until);
    report.add(
        "1 x 1 MiB beside 999 x 4 KiB",
        &[("durable", &durable), ("all journal", &journal), ("all direct", &direct)],
    );
    judge_best(report, "MB/s, 1 MiB beside 999 x 4 KiB", &durable, [&journal, &direct], 0.8);
}

fn judge_best(report: &mut Report, what: &str, durable: &[Figures], pure: [&[Figures]; 2], least: f64) {
    let speed = |figures: &&[Figures]| median(figures.iter().map(throughput));
    let best = pure.into_iter().max_by(|one, other| speed(one).total_cmp(&speed(other)));
    let best = best.expect("there are two");
    report.judge(&format!("{what} / the better pure way"), throughput, durable, best, Bound::Least(least));
}

fn steady(settings: &Settings, ground: &Ground, report: &mut Report) {
    let load = Load::new(MANY, SMALL, SMALL);
    let most = load.flood(ground, &settings.durable(), Until::Seconds(settings.seconds(10.0)));
    let half = most.appends_per_second() / 2.0;
    let (long, short) = (settings.seconds(60.0), settings.seconds(10.0));
    // A journal that does not come round within the leg, and nothing that would make room in it.
    let limits = CommitLimits { background_syncs_max: 0, ..settings.limits };
    let needed = (half * short * (SMALL as f64) * 1.5) as u64;
    let journal_bytes = Some(needed.next_multiple_of(64 << 20).max(settings.journal_bytes()));
    let without = Way { limits, journal_bytes, ..settings.durable() };
    let [without, with] = alternate(
        settings,
        [
            ("without the sync behind", &mut || load.steady(ground, &without, short, half)),
            ("with the sync behind", &mut || load.steady(ground, &settings.durable(), long, half)),
        ],
    );
    report.add(
        &format!("{half:.0} appends/s, 1,000 x 4 KiB"),
        &[("without the sync behind", &without), ("with the sync behind", &with)],
    );
    let tail = |figures: &Figures| Times::quantile(&mut figures.waves.clone(), 0.999);
    report.judge("p99.9 of a wave, with / without the sync behind", tail, &with, &without, Bound::Most(3.0));
}
