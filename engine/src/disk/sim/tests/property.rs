//! What holds whatever was done before a power cut.

use super::*;
use crate::disk::replace_file;
use crate::disk::sim::random::Random;

/// A file's bytes as a power cut may leave them: for each the values since its last sync, and the lengths.
struct Model {
    bytes: Vec<BTreeSet<u8>>,
    lens: BTreeSet<usize>,
    seen: Vec<u8>,
}

const LEN_MAX: usize = 2_000;

impl Model {
    fn new() -> Model {
        Model { bytes: vec![[0].into(); LEN_MAX], lens: [0].into(), seen: Vec::new() }
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.seen);
        self.lens.insert(self.seen.len());
        let seen = self.seen.iter().copied().chain(std::iter::repeat(0));
        for (values, byte) in self.bytes.iter_mut().zip(seen) {
            values.insert(byte);
        }
    }

    fn sync(&mut self) {
        self.lens = [self.seen.len()].into();
        let seen = self.seen.iter().copied().chain(std::iter::repeat(0));
        self.bytes.iter_mut().zip(seen).for_each(|(values, byte)| *values = [byte].into());
    }

    fn check(&self, left: &[u8], context: &str) {
        assert!(self.lens.contains(&left.len()), "{context}: {} bytes, expected {:?}", left.len(), self.lens);
        for (position, (byte, values)) in left.iter().zip(&self.bytes).enumerate() {
            assert!(values.contains(byte), "{context}: {byte} at {position}, expected one of {values:?}");
        }
    }
}

/// Changes and syncs two files as the seed says, by way of plain calls, and checks what is left each time.
fn run(seed: u64) {
    let mut random = Random::new(seed);
    let disk = SimDisk::new(seed);
    let paths = ["/a", "/b"].map(Path::new);
    let files = paths.map(|path| disk.open(path, OpenMode::CreateNew).unwrap());
    disk.settle();
    let mut models = [Model::new(), Model::new()];
    for step in 0..40 {
        let which = random.below(2);
        let (file, model) = (&files[which], &mut models[which]);
        match random.below(6) {
            0 => {
                file.sync().unwrap();
                model.sync();
            }
            1 => {
                let len = random.below(LEN_MAX);
                file.set_len(len as u64).unwrap();
                model.change(|seen| seen.resize(len, 0));
            }
            _ => {
                let position = random.below(model.seen.len() + 1);
                let bytes = vec![random.next() as u8; 1 + random.below(LEN_MAX - position)];
                write(file, &bytes, position as u64);
                model.change(|seen| {
                    seen.resize(seen.len().max(position + bytes.len()), 0);
                    seen[position..][..bytes.len()].copy_from_slice(&bytes);
                });
            }
        }
        for (path, model) in paths.iter().zip(&models) {
            let context = format!("seed {seed}, step {step}, {}", path.display());
            assert_eq!(disk.read(path).unwrap(), model.seen, "{context}");
            let once = disk.after_crash(random.next());
            model.check(&once.read(path).unwrap(), &context);
            // What a power cut has left is durable.
            let twice = once.after_crash(random.next());
            assert_eq!(twice.read(path).unwrap(), once.read(path).unwrap(), "{context}");
        }
    }
}

#[test]
fn what_was_synced_is_there_and_nothing_is_there_that_was_not_written() {
    (0..200).for_each(run);
}

/// Files come and go and are written; the disk in the end.
fn churn(disk: &SimDisk, seed: u64) -> std::io::Result<()> {
    let mut random = Random::new(seed);
    let dir = Path::new(DIR);
    for _ in 0..60 {
        let [name, other] = [(); 2].map(|()| dir.join(format!("f{}", random.below(4))));
        match random.below(7) {
            0 => disk.rename(&name, &other).or_else(tolerate)?,
            1 => disk.remove_file(&name).or_else(tolerate)?,
            2 => disk.sync_dir(dir)?,
            3 => disk.open(&name, OpenMode::Existing).and_then(|file| file.sync()).or_else(tolerate)?,
            4 => drop(disk.open(&name, OpenMode::Replace)?),
            _ => {
                let bytes = [random.next() as u8; 700];
                let file = disk.open(&name, OpenMode::Existing);
                file.and_then(|file| file.write_all_at([&bytes, b""], 0)).or_else(tolerate)?;
            }
        }
    }
    Ok(())
}

fn tolerate(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn image(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let content = disk.read(&Path::new(DIR).join(&name)).unwrap();
        (name, content)
    };
    names(disk).into_iter().map(read).collect()
}

#[test]
fn the_same_seed_and_calls_give_the_same_trace_and_the_same_disk() {
    let run = |seed: u64| {
        let disk = disk();
        disk.keep_trace();
        churn(&disk, seed).unwrap();
        let crashed: Vec<_> = (0..20).map(|seed| image(&disk.after_crash(seed))).collect();
        (disk.take_trace(), image(&disk), crashed)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_kept_crash_point_is_the_disk_that_a_power_cut_at_that_step_gives() {
    for seed in 0..20 {
        let kept = disk();
        kept.keep_crash_points();
        churn(&kept, seed).unwrap();
        let points = kept.take_crash_points();
        assert!(points.len() > 10, "seed {seed}: only {} steps", points.len());
        let first = points[0].0.number;
        for (step, point) in points {
            let cut = disk();
            assert_eq!(cut.steps(), first);
            cut.crash_at(step.number);
            churn(&cut, seed).unwrap_err();
            assert_eq!(image(&cut.after_kill()), image(&point), "{step}");
            for crash in 0..5 {
                assert_eq!(image(&cut.after_crash(crash)), image(&point.after_crash(crash)), "{step}");
            }
        }
    }
}

#[test]
fn a_copy_and_its_source_go_separate_ways() {
    let (disk, file) = disk_with_file();
    write(&file, b"abc", 0);
    let copy = disk.after_kill();
    write(&file, b"xyz", 0);
    disk.remove_file(Path::new(FILE)).unwrap();
    assert_eq!(copy.read(Path::new(FILE)).unwrap(), b"abc");
    let of_copy = copy.open(Path::new(FILE), OpenMode::Existing).unwrap();
    write(&of_copy, b"123", 0);
    let mut read = [0; 3];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"xyz");
}

#[test]
fn files_that_come_and_go_leave_nothing_behind() {
    let disk = disk();
    for _ in 0..1_000 {
        replace_file(&disk, Path::new(FILE), b"abc").unwrap();
    }
    assert!(disk.state().tree.nodes() < 20, "{} nodes", disk.state().tree.nodes());
}
