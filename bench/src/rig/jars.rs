//! Apache Kafka's jars: fetched once into the workspace's target directory, or a directory of the user's.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Error, Kernel,
    jvm::{Log, flag},
    prepared::prepared,
    process::{Launch, Output, Process},
};

/// The release that Logmill is compared with.
pub const KAFKA_VERSION: &str = "4.3.1";

/// Maven has this long; the jars are 55 MB.
const FETCH_MAX: Duration = Duration::from_secs(1200);

/// Where Apache's distribution keeps its jars, and a fetch puts them.
const LIBS: &str = "libs";

/// The class path of Kafka's broker and tools.
#[derive(Clone, Debug)]
pub struct Jars {
    /// Sorted, as the JVM's class-data archives depend on the order.
    jars: Vec<PathBuf>,
    /// Where the rig keeps what it derives from these jars, and the log4j configurations.
    cache: PathBuf,
}

impl Jars {
    /// Kafka's Maven artifacts. The first call fetches them; later ones only look. Processes that call this
    /// at the same time wait for the one that fetches.
    pub fn fetched() -> Result<Jars, Error> {
        let home = target_directory().join(format!("kafka-{KAFKA_VERSION}"));
        let pom = pom_text();
        let cache = prepared(&home, &[&pom, &Log::recipe()], |directory| {
            fetch(directory, &pom)?;
            Log::write_all(directory)
        })?;
        Jars::load(&cache.join(LIBS), cache)
    }

    /// A directory with Kafka's jars, or one whose `libs` holds them, as in Apache's distribution.
    pub fn in_directory(kafka_dir: &Path) -> Result<Jars, Error> {
        let libs = kafka_dir.join(LIBS);
        let libs = if libs.is_dir() { libs } else { kafka_dir.to_owned() };
        let libs = fs::canonicalize(&libs).map_err(Error::io(format!("opening {}", libs.display())))?;
        let mut hasher = DefaultHasher::new();
        libs.hash(&mut hasher);
        Jars::kept_in(&libs, &target_directory().join(format!("kafka-{:016x}", hasher.finish())))
    }

    /// Jars of the user's; what the rig derives from them is kept in `home`.
    fn kept_in(libs: &Path, home: &Path) -> Result<Jars, Error> {
        let cache = prepared(home, &[&Log::recipe()], Log::write_all)?;
        Jars::load(libs, cache)
    }

    fn load(libs: &Path, cache: PathBuf) -> Result<Jars, Error> {
        let listed: Result<Vec<_>, _> =
            fs::read_dir(libs).and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect());
        let mut jars = listed.map_err(Error::io(format!("listing {}", libs.display())))?;
        jars.retain(|path| path.extension() == Some(OsStr::new("jar")));
        jars.sort();
        let jars = Jars { jars, cache };
        jars.jar("kafka-clients")?;
        jars.jar("kafka_2.13")?;
        Ok(jars)
    }

    /// The jar of one artifact, such as `kafka-clients`.
    pub fn jar(&self, artifact: &str) -> Result<&Path, Error> {
        let is_it = |path: &&PathBuf| {
            let version = path.file_name()?.to_str()?.strip_prefix(artifact)?.strip_prefix('-')?;
            Some(version.starts_with(|c: char| c.is_ascii_digit()) && !version.ends_with("-test.jar"))
        };
        let found = self.jars.iter().find(|path| is_it(path).unwrap_or(false));
        found.map(PathBuf::as_path).ok_or_else(|| Error::Failed {
            what: format!("no jar of {artifact} among Kafka's {} jars", self.jars.len()),
            output: String::new(),
        })
    }

    pub(super) fn all(&self) -> &[PathBuf] {
        &self.jars
    }

    pub(super) fn cache(&self) -> &Path {
        &self.cache
    }
}

fn fetch(directory: &Path, pom_text: &str) -> Result<(), Error> {
    let mvn = find_program("mvn").ok_or(Error::Missing {
        program: "mvn",
        purpose: "fetch Apache Kafka; without it, give a directory with Kafka's jars",
    })?;
    let pom = directory.join("pom.xml");
    fs::write(&pom, pom_text).map_err(Error::io(format!("writing {}", pom.display())))?;
    let log = directory.join("mvn.log");
    let output = File::create(&log).map_err(Error::io(format!("creating {}", log.display())))?;
    let launch = Launch {
        program: mvn,
        arguments: [
            "-B".into(),
            "-f".into(),
            pom.into(),
            "dependency:copy-dependencies".into(),
            flag("-DoutputDirectory=", &directory.join(LIBS)),
        ]
        .into(),
        environment: Vec::new(),
        kernel: Kernel::Whole,
    };
    match Process::spawn(&launch, Output::File(output))?.wait(Instant::now() + FETCH_MAX) {
        Some(status) if status.success() => Ok(()),
        _ => Err(Error::with_log(format!("fetching Apache Kafka {KAFKA_VERSION} with Maven failed"), &log)),
    }
}

fn pom_text() -> String {
    let artifacts = [
        ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
        // Kafka logs through slf4j and ships this binding beside its jars, not among its dependencies.
        ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
    ];
    let dependencies: String = artifacts
        .iter()
        .map(|(group, artifact, version)| {
            format!(
                "    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>\n"
            )
        })
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>logmill</groupId>\n  <artifactId>rig</artifactId>\n  <version>1</version>\n  \
         <packaging>pom</packaging>\n  <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}

/// The workspace's target directory: CARGO_TARGET_DIR (unless relative: to what, only cargo knows), or the
/// one that this program was built into, or that of the sources it was built from.
fn target_directory() -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let built_into = || {
        let program = env::current_exe().ok()?;
        // Cargo puts this file into every target directory.
        program.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file()).map(Path::to_owned)
    };
    named.or_else(built_into).unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
}

/// Where PATH finds a program.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn a_directory_without_kafka_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("kafka-clients-4.3.1-test.jar"), "").unwrap();
        let error = Jars::kept_in(directory.path(), directory.path()).unwrap_err().to_string();
        assert_eq!(error, "no jar of kafka-clients among Kafka's 1 jars");
    }

    #[test]
    fn threads_that_come_first_together_all_find_the_log4j_configurations_whole() {
        const THREADS: usize = 8;
        let libs = tempfile::tempdir().unwrap();
        for jar in ["kafka-clients-4.3.1.jar", "kafka_2.13-4.3.1.jar"] {
            fs::write(libs.path().join(jar), "").unwrap();
        }
        for _ in 0..50 {
            let home = tempfile::tempdir().unwrap();
            let barrier = Barrier::new(THREADS);
            let come = || {
                barrier.wait();
                let jars = Jars::kept_in(libs.path(), home.path()).unwrap();
                for log in [Log::Broker, Log::Tool] {
                    let flag = log.flag(&jars).into_string().unwrap();
                    let (_, path) = flag.split_once('=').unwrap();
                    assert!(fs::read_to_string(path).unwrap().ends_with("</Configuration>\n"));
                }
            };
            thread::scope(|scope| (0..THREADS).for_each(|_| _ = scope.spawn(come)));
        }
    }
}
