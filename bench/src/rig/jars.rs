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
    Error,
    jvm::flag,
    process::{Launch, Output, Process},
};

/// The release that Logmill is compared with.
pub const KAFKA_VERSION: &str = "4.3.1";

/// Maven has this long; the jars are 55 MB.
const FETCH_MAX: Duration = Duration::from_secs(600);

/// The class path of Kafka's broker and tools.
#[derive(Clone, Debug)]
pub struct Jars {
    /// Sorted, as the JVM's class-data archives depend on the order.
    jars: Vec<PathBuf>,
    /// Where the rig keeps what it derives from these jars.
    cache: PathBuf,
}

impl Jars {
    /// Kafka's Maven artifacts. The first call fetches them; later ones only look. Processes that call this
    /// at the same time wait for the one that fetches.
    pub fn fetched() -> Result<Jars, Error> {
        let home = target_directory().join(format!("kafka-{KAFKA_VERSION}"));
        let libs = home.join("libs");
        if !fetch_marker(&home).exists() {
            fs::create_dir_all(&home).map_err(Error::io(format!("creating {}", home.display())))?;
            let lock = home.join("lock");
            let locked = File::create(&lock).and_then(|file| file.lock().map(|()| file));
            let _lock = locked.map_err(Error::io(format!("locking {}", lock.display())))?;
            if !fetch_marker(&home).exists() {
                fetch(&home, &libs)?;
            }
        }
        Jars::load(&libs, home)
    }

    /// A directory with Kafka's jars, or one whose `libs` holds them, as in Apache's distribution.
    pub fn in_directory(kafka_dir: &Path) -> Result<Jars, Error> {
        let libs = kafka_dir.join("libs");
        let libs = if libs.is_dir() { libs } else { kafka_dir.to_owned() };
        let libs = fs::canonicalize(&libs).map_err(Error::io(format!("opening {}", libs.display())))?;
        let mut hasher = DefaultHasher::new();
        libs.hash(&mut hasher);
        Jars::load(&libs, target_directory().join(format!("kafka-{:016x}", hasher.finish())))
    }

    fn load(libs: &Path, cache: PathBuf) -> Result<Jars, Error> {
        let listed: Result<Vec<_>, _> =
            fs::read_dir(libs).and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect());
        let mut jars = listed.map_err(Error::io(format!("listing {}", libs.display())))?;
        jars.retain(|path| path.extension() == Some(OsStr::new("jar")));
        jars.sort();
        fs::create_dir_all(&cache).map_err(Error::io(format!("creating {}", cache.display())))?;
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

/// Written last: without it `libs` may be half of a fetch.
fn fetch_marker(home: &Path) -> PathBuf {
    home.join("complete")
}

fn fetch(home: &Path, libs: &Path) -> Result<(), Error> {
    let mvn = find_program("mvn").ok_or(Error::Missing {
        program: "mvn",
        purpose: "fetch Apache Kafka; without it, give a directory with Kafka's jars",
    })?;
    if libs.exists() {
        fs::remove_dir_all(libs).map_err(Error::io(format!("removing {}", libs.display())))?;
    }
    let pom = home.join("pom.xml");
    fs::write(&pom, pom_text()).map_err(Error::io(format!("writing {}", pom.display())))?;
    let log = home.join("mvn.log");
    let output = File::create(&log).map_err(Error::io(format!("creating {}", log.display())))?;
    let launch = Launch {
        program: mvn,
        arguments: [
            "-B".into(),
            "-f".into(),
            pom.into(),
            "dependency:copy-dependencies".into(),
            flag("-DoutputDirectory=", libs),
        ]
        .into(),
        environment: Vec::new(),
        without_io_uring: false,
    };
    let ended = Process::spawn(&launch, Output::File(output))?.wait(Instant::now() + FETCH_MAX);
    match ended {
        Some(status) if status.success() => {
            let marker = fetch_marker(home);
            fs::write(&marker, "").map_err(Error::io(format!("writing {}", marker.display())))
        }
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
    use super::*;

    #[test]
    fn a_directory_without_kafka_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("kafka-clients-4.3.1-test.jar"), "").unwrap();
        let error = Jars::in_directory(directory.path()).unwrap_err().to_string();
        assert_eq!(error, "no jar of kafka-clients among Kafka's 1 jars");
    }
}
