//! `TopicStore`: topics as the log directories hold them; makes and removes their directories durably.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use logmill_engine::Error;
use logmill_engine::disk::{Disk, OpenMode, replace_file};
use logmill_engine::format::Uuid;
use logmill_engine::partition::{PartitionId, directory};
use logmill_engine::shard::PartitionMarks;

use super::apache_topics::ApacheTopics;
use super::checkpoints;
use super::controller::Growth;
use super::image::{Image, Topic};
use super::topics_file::{self, State, TopicLine};
use crate::config::topic_name::CLUSTER_METADATA;
use crate::config::{Layers, TopicConfig, TopicOverrides};
use crate::pace::Pace;
use crate::shard::io_error;
use crate::wire::Text;

/// Holds the first producer id that was never given out, beside the topics' file.
const PRODUCER_IDS_FILE: &str = "logmill.producer-ids";
/// Producer ids that are taken at a time, each time durably: Apache Kafka's block.
const PRODUCER_ID_BLOCK: i64 = 1_000;
/// The first producer id beside a metadata log of Apache Kafka's, which says what ids it gives out next: it must
/// never come to those that were given out here.
const FIRST_BESIDE_APACHES: i64 = 1 << 60;

/// The disks as topics see them. Calls wait for them: not for a shard's thread once it serves.
#[derive(Debug, Clone)]
pub struct TopicStore {
    disk: Arc<dyn Disk>,
    log_dirs: Vec<PathBuf>,
    /// How many directories are looked at at once.
    pace: Pace,
    /// The log directory that holds the files of all topics, once it was looked for.
    home: Arc<OnceLock<PathBuf>>,
    /// Topics that Apache Kafka's metadata log knows have no lines: it tells of them.
    apache: Option<Arc<ApacheTopics>>,
}

/// A topic as the directories say.
#[derive(Debug)]
struct FoundTopic {
    name: String,
    /// Log directory of each partition that was found.
    partitions: BTreeMap<i32, usize>,
}

impl TopicStore {
    /// The topics of these log directories, which are there.
    pub(crate) fn new(disk: Arc<dyn Disk>, log_dirs: Vec<PathBuf>, pace: Pace) -> TopicStore {
        TopicStore { disk, log_dirs, pace, home: Arc::default(), apache: None }
    }

    /// Beside a metadata log of Apache Kafka's.
    pub(crate) fn with_apache(self, topics: Option<ApacheTopics>) -> TopicStore {
        TopicStore { apache: topics.map(Arc::new), ..self }
    }

    /// Whether all topics stand in Apache Kafka's metadata log: it would take any other one's directories for
    /// stray ones.
    pub(crate) fn is_apaches(&self) -> Result<bool, Error> {
        Ok(self.apache.is_some() && self.read_lines()?.is_empty())
    }

    fn is_in_apaches_log(&self, id: Uuid) -> bool {
        self.apache.as_ref().is_some_and(|topics| topics.has(id))
    }

    /// Finds all topics. What a crash left half made or half deleted is finished first.
    pub fn load(&self) -> Result<Image, Error> {
        let lines = self.read_lines()?;
        let mut found = self.find_partitions()?;
        // Deleted topics go first: one in the making may have the name of one of them.
        let (deleted, wanted): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.state == State::Deleted);
        for line in deleted {
            let left = found.remove(&line.id).map(|topic| topic.partitions).unwrap_or_default();
            self.remove_partitions(&line.name, line.id, left.iter().map(|(index, dir)| (*index, *dir)))?;
        }
        let mut image = Image::default();
        for line in wanted.into_iter().filter(|line| !self.is_in_apaches_log(line.id)) {
            let partitions = found.remove(&line.id).map(|topic| topic.partitions).unwrap_or_default();
            let is_making = line.state == State::Making;
            let topic = if is_making {
                self.finish_making(line, &partitions)
            } else {
                self.whole(line, &partitions)
            }?;
            self.add(&mut image, topic)?;
        }
        for (id, FoundTopic { name, partitions }) in found {
            let last = partitions.keys().next_back().copied().unwrap_or_default();
            let settings = self.apache.as_ref().map(|topics| topics.settings(id));
            let line = TopicLine {
                state: State::Live,
                id,
                name,
                partitions: last as usize + 1,
                overrides: settings.unwrap_or_default(),
            };
            let topic = self.whole(line, &partitions)?;
            self.add(&mut image, topic)?;
        }
        self.write_lines(&self.live_lines(&image))?;
        Ok(image)
    }

    /// A topic of which every partition must have been found.
    fn whole(&self, line: TopicLine, found: &BTreeMap<i32, usize>) -> Result<Topic, Error> {
        // A damaged number of partitions is refused here, before it becomes so many entries in memory.
        if let Some(missing) = (0..line.partitions as i32).find(|index| !found.contains_key(index)) {
            return Err(Error::Corrupt(format!(
                "topic {} has {} partitions, but {} is in none of the log directories {}",
                line.name,
                line.partitions,
                directory::name(&line.name, missing),
                listed(&self.log_dirs)
            )));
        }
        let dirs = (0..line.partitions as i32).map(|index| found[&index]).collect();
        self.topic(line, dirs)
    }

    fn finish_making(&self, line: TopicLine, found: &BTreeMap<i32, usize>) -> Result<Topic, Error> {
        let dirs = (0..line.partitions as i32).map(|index| found.get(&index).copied().unwrap_or(0)).collect();
        let topic = self.topic(line, dirs)?;
        tracing::warn!(
            "topic {}: finishing its creation, {} partitions to make",
            topic.name,
            topic.partition_ids().filter(|id| !found.contains_key(&id.index)).count()
        );
        self.make_partitions(&topic)?;
        Ok(topic)
    }

    fn topic(&self, line: TopicLine, dirs: Vec<usize>) -> Result<Topic, Error> {
        let overrides = TopicOverrides::accepted(line.overrides.into_iter().collect());
        // Against no settings of the broker: theirs were checked where they came from, this is about the file.
        if let Err(invalid) = TopicConfig::new(&overrides, &Layers::default()) {
            return Err(self.corrupt(format_args!("topic {}: {invalid}", line.name)));
        }
        Ok(Topic { name: Text::from(line.name), id: line.id, dirs, overrides })
    }

    fn add(&self, image: &mut Image, topic: Topic) -> Result<(), Error> {
        if let Some(other) = image.by_name(&topic.name) {
            let Topic { name, id, .. } = topic;
            return Err(self.corrupt(format_args!("two topics are named {name}: {} and {id}", other.id)));
        }
        image.insert(Arc::new(topic));
        Ok(())
    }

    fn corrupt(&self, what: std::fmt::Arguments<'_>) -> Error {
        match self.home_file(topics_file::FILE_NAME) {
            Ok(path) => Error::Corrupt(format!("{}: {what}", path.display())),
            Err(error) => error,
        }
    }

    /// Where a file of all topics lies, or will. Log directories may be named in another order than when it was
    /// made.
    fn home_file(&self, name: &str) -> Result<PathBuf, Error> {
        if let Some(home) = self.home.get() {
            return Ok(home.join(name));
        }
        let mut homes = Vec::new();
        for dir in &self.log_dirs {
            if self.holds(dir, topics_file::FILE_NAME)? || self.holds(dir, PRODUCER_IDS_FILE)? {
                homes.push(dir.clone());
            }
        }
        if homes.len() > 1 {
            return Err(Error::Corrupt(format!(
                "{} and {PRODUCER_IDS_FILE} belong into one log directory, but are in {}",
                topics_file::FILE_NAME,
                listed(&homes)
            )));
        }
        let home = homes.pop().unwrap_or_else(|| self.log_dirs[0].clone());
        Ok(self.home.get_or_init(|| home).join(name))
    }

    fn holds(&self, dir: &Path, name: &str) -> Result<bool, Error> {
        let path = dir.join(name);
        match self.disk.open(&path, OpenMode::Existing) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error(format_args!("opening {}", path.display()))(error)),
        }
    }

    fn find_partitions(&self) -> Result<HashMap<Uuid, FoundTopic>, Error> {
        let mut topics: HashMap<Uuid, FoundTopic> = HashMap::new();
        for (dir, path) in self.log_dirs.iter().enumerate() {
            let named = directory::find_named(&*self.disk, path)?;
            for found in self.pace.each(&named, || (), |_, named| named.identify(&*self.disk)) {
                let Some(found) = found?.filter(|found| found.topic != CLUSTER_METADATA) else { continue };
                let topic = topics
                    .entry(found.id.topic)
                    .or_insert_with(|| FoundTopic { name: found.topic.clone(), partitions: BTreeMap::new() });
                if topic.name != found.topic {
                    return Err(Error::Corrupt(format!(
                        "{}: topics {} and {} have the same id {}",
                        path.display(),
                        topic.name,
                        found.topic,
                        found.id.topic
                    )));
                }
                if let Some(other) = topic.partitions.insert(found.id.index, dir) {
                    return Err(Error::Corrupt(format!(
                        "partition {}-{} lies in {} and in {}",
                        found.topic,
                        found.id.index,
                        self.log_dirs[other].display(),
                        path.display()
                    )));
                }
            }
        }
        Ok(topics)
    }

    /// Makes topics beside those of `image`: first what they shall be, then their directories, then that they
    /// are whole. Their `dirs` say where they go.
    pub(crate) fn create(&self, image: &Image, topics: &[Arc<Topic>]) -> Result<(), Error> {
        let made = self
            .change_lines(image, topics, Some(State::Making))
            .and_then(|()| topics.iter().try_for_each(|topic| self.make_partitions(topic)))
            .and_then(|()| self.change_lines(image, topics, Some(State::Live)));
        if made.is_err() {
            // Nobody was told of them: as if they had been made and deleted.
            let undone = self
                .change_lines(image, topics, Some(State::Deleted))
                .and_then(|()| self.finish_deletion(image, topics));
            if let Err(error) = undone {
                tracing::error!("topics that could not be made are still on disk: {error}");
            }
        }
        made
    }

    /// Makes the partitions that topics of `image` get: a start that finds it begun finishes it.
    pub(crate) fn grow(&self, image: &Image, grown: &[Growth]) -> Result<(), Error> {
        let now: Vec<Arc<Topic>> = grown.iter().map(|growth| growth.now.clone()).collect();
        let made = self
            .change_lines(image, &now, Some(State::Making))
            .and_then(|()| now.iter().try_for_each(|topic| self.make_partitions(topic)))
            .and_then(|()| self.change_lines(image, &now, Some(State::Live)));
        if made.is_err() {
            self.undo_growth(image, grown);
        }
        made
    }

    /// Nobody was told of the partitions: their directories go, and the topics are what they were.
    pub(crate) fn undo_growth(&self, image: &Image, grown: &[Growth]) {
        let remove = |Growth { before, now }: &Growth| {
            let new = (0..).zip(now.dirs.iter().copied()).skip(before.dirs.len());
            self.remove_partitions(&now.name, now.id, new)
        };
        let undone = grown.iter().try_for_each(remove).and_then(|()| self.change_lines(image, &[], None));
        if let Err(error) = undone {
            tracing::error!("partitions that could not be made may be there after the next start: {error}");
        }
    }

    /// Deletes topics of `image`, durably: their directories are left for [`TopicStore::finish_deletion`].
    /// After an error they are still topics.
    pub(crate) fn delete(&self, image: &Image, topics: &[Arc<Topic>]) -> Result<(), Error> {
        let deleted = self.change_lines(image, topics, Some(State::Deleted));
        if deleted.is_err()
            && let Err(error) = self.change_lines(image, &[], None)
        {
            tracing::error!("topics that could not be deleted may be gone after the next start: {error}");
        }
        deleted
    }

    /// Removes the directories of deleted topics. What an error leaves is removed at the next start.
    pub(crate) fn finish_deletion(&self, image: &Image, topics: &[Arc<Topic>]) -> Result<(), Error> {
        for topic in topics {
            let partitions = (0..).zip(topic.dirs.iter().copied());
            self.remove_partitions(&topic.name, topic.id, partitions)?;
        }
        self.change_lines(image, topics, None)
    }

    /// Writes down, by log directory, how far partitions have come. Says which marks are on the device; what
    /// cannot be written is written the next time.
    pub(crate) fn write_marks(&self, marks: Vec<PartitionMarks>) -> Vec<PartitionMarks> {
        let mut written = Vec::with_capacity(marks.len());
        for (dir, path) in self.log_dirs.iter().enumerate() {
            let of_dir: Vec<_> = marks.iter().filter(|marks| marks.dir == dir).cloned().collect();
            if of_dir.is_empty() {
                continue;
            }
            match checkpoints::write(&*self.disk, path, &of_dir) {
                Ok(()) => written.extend(of_dir),
                Err(error) => tracing::error!("how far logs have come is not written down: {error}"),
            }
        }
        written
    }

    /// By log directory, how many partitions lie in it: new ones go where there are fewest.
    pub(crate) fn partitions_by_dir(&self, image: &Image) -> Vec<usize> {
        let mut counts = vec![0; self.log_dirs.len()];
        image.topics().flat_map(|topic| &topic.dirs).for_each(|dir| counts[*dir] += 1);
        counts
    }

    /// Makes the directories, all of them or those that are missing.
    fn make_partitions(&self, topic: &Topic) -> Result<(), Error> {
        for id in topic.partition_ids() {
            let dir = &self.log_dirs[topic.dirs[id.index as usize]];
            directory::create(&*self.disk, dir, &topic.name, id)?;
        }
        self.sync_log_dirs()
    }

    fn remove_partitions(
        &self,
        name: &str,
        topic: Uuid,
        partitions: impl Iterator<Item = (i32, usize)> + Clone,
    ) -> Result<(), Error> {
        self.log_dirs.iter().try_for_each(|dir| checkpoints::forget(&*self.disk, dir, name))?;
        let ids = partitions.map(|(index, dir)| (PartitionId { topic, index }, &self.log_dirs[dir]));
        for (id, log_dir) in ids.clone() {
            match directory::rename_deleted(&*self.disk, log_dir, name, id) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => (),
                result => result?,
            }
        }
        self.sync_log_dirs()?;
        for (id, log_dir) in ids {
            match directory::remove_renamed(&*self.disk, log_dir, name, id) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => (),
                result => result?,
            }
        }
        Ok(())
    }

    fn sync_log_dirs(&self) -> Result<(), Error> {
        self.log_dirs.iter().try_for_each(|dir| {
            self.disk.sync_dir(dir).map_err(io_error(format_args!("syncing {}", dir.display())))
        })
    }

    fn live_lines(&self, image: &Image) -> Vec<TopicLine> {
        let ours = image.topics().filter(|topic| !self.is_in_apaches_log(topic.id));
        ours.map(|topic| line_of(topic, State::Live)).collect()
    }

    fn read_lines(&self) -> Result<Vec<TopicLine>, Error> {
        let path = self.home_file(topics_file::FILE_NAME)?;
        match self.disk.read(&path) {
            Ok(content) => topics_file::read(&content)
                .map_err(|fault| Error::Corrupt(format!("{}: {fault}", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(io_error(format_args!("reading {}", path.display()))(error)),
        }
    }

    /// Writes the image down with some topics in another state, or without them.
    fn change_lines(&self, image: &Image, topics: &[Arc<Topic>], state: Option<State>) -> Result<(), Error> {
        let changed: HashSet<Uuid> = topics.iter().map(|topic| topic.id).collect();
        let mut lines = self.live_lines(image);
        lines.retain(|line| !changed.contains(&line.id));
        // A change that failed on disk left directories behind; without their line a start would take them up.
        let left = self.read_lines()?.into_iter();
        lines.extend(
            left.filter(|line| image.by_id(line.id).is_none() && !changed.contains(&line.id))
                .map(|line| TopicLine { state: State::Deleted, ..line }),
        );
        if let Some(state) = state {
            lines.extend(topics.iter().map(|topic| line_of(topic, state)));
        }
        self.write_lines(&lines)
    }

    fn write_lines(&self, lines: &[TopicLine]) -> Result<(), Error> {
        let path = self.home_file(topics_file::FILE_NAME)?;
        replace_file(&*self.disk, &path, topics_file::write(lines).as_bytes())
            .map_err(io_error(format_args!("writing {}", path.display())))
    }

    /// Producer ids that nobody else ever gets, not even after a crash: none that was given out, and none below
    /// `floor`.
    pub(crate) fn take_producer_ids(&self, floor: i64) -> Result<Range<i64>, Error> {
        let path = self.home_file(PRODUCER_IDS_FILE)?;
        let first = match self.disk.read(&path) {
            Ok(content) => std::str::from_utf8(&content)
                .ok()
                .and_then(|text| text.trim().parse::<i64>().ok())
                .filter(|first| (0..i64::MAX - PRODUCER_ID_BLOCK).contains(first))
                .ok_or_else(|| {
                    Error::Corrupt(format!(
                        "{}: {:?}, expected a producer id",
                        path.display(),
                        String::from_utf8_lossy(&content)
                    ))
                })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.apache.is_some() => {
                FIRST_BESIDE_APACHES
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io_error(format_args!("reading {}", path.display()))(error)),
        };
        let first = first.max(floor);
        let end = first + PRODUCER_ID_BLOCK;
        replace_file(&*self.disk, &path, format!("{end}\n").as_bytes())
            .map_err(io_error(format_args!("writing {}", path.display())))?;
        Ok(first..end)
    }
}

fn line_of(topic: &Topic, state: State) -> TopicLine {
    let overrides = topic.overrides.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    TopicLine {
        state,
        id: topic.id,
        name: topic.name.to_string(),
        partitions: topic.dirs.len(),
        overrides: overrides.collect(),
    }
}

fn listed(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
