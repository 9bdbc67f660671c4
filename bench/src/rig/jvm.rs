//! Starting Java: where it is, its flags, and archives of loaded classes that make the next start faster.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::UNIX_EPOCH,
};

use super::{Error, Jars, Kernel, jars::find_program, process::Launch};

/// How a JVM is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JvmProfile {
    /// With the flags of Kafka's own start scripts: for figures.
    AsShipped,
    /// Starts three times as fast, runs slower once warm: for tests and tools. The first run of a class
    /// archives what it loaded when it ends, which takes it a second more.
    QuickStart,
}

/// The flags of kafka-run-class.sh.
const AS_SHIPPED: &[&str] = &[
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
];

/// The JVM's own remarks (on archives, say) are kept out of what a tool prints.
const QUICK_START: &[&str] =
    &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-Xlog:all=error:stderr"];

/// A JVM about to be started.
pub(super) struct Jvm {
    pub(super) launch: Launch,
    /// To be published when the JVM ended in good order.
    pub(super) archive: Option<Archive>,
}

impl Jvm {
    /// `class` with `flags` for the JVM beside those of the profile.
    pub(super) fn new(
        jars: &Jars,
        profile: JvmProfile,
        flags: impl IntoIterator<Item = OsString>,
        class: &str,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Jvm, Error> {
        let program = java()?;
        let class_path = env::join_paths(jars.all()).map_err(|error| Error::Failed {
            what: format!("the path of Kafka's jars: {error}"),
            output: String::new(),
        })?;
        let mut all = Vec::new();
        let mut archive = None;
        match profile {
            JvmProfile::AsShipped => all.extend(AS_SHIPPED.iter().map(OsString::from)),
            JvmProfile::QuickStart => {
                all.extend(QUICK_START.iter().map(OsString::from));
                let ready = archive_path(jars, &program, class)?;
                if ready.exists() {
                    all.push(flag("-XX:SharedArchiveFile=", &ready));
                } else {
                    let new = Archive::new(ready);
                    all.push(flag("-XX:ArchiveClassesAtExit=", &new.making));
                    archive = Some(new);
                }
            }
        }
        all.extend(flags);
        all.extend([OsString::from("-cp"), class_path, class.into()]);
        all.extend(arguments);
        let launch = Launch { program, arguments: all, environment: Vec::new(), kernel: Kernel::Whole };
        Ok(Jvm { launch, archive })
    }
}

/// An option and a path, in one argument.
pub(super) fn flag(option: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(option);
    flag.push(path);
    flag
}

/// A class-data archive that a running JVM writes when it ends.
pub(super) struct Archive {
    making: PathBuf,
    ready: PathBuf,
}

impl Archive {
    fn new(ready: PathBuf) -> Archive {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("making-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Archive { making: ready.with_extension(unique), ready }
    }

    /// Lets later starts use it. Whole or not at all: a JVM may be looking for it this moment.
    pub(super) fn publish(&self) -> Result<(), Error> {
        match fs::rename(&self.making, &self.ready) {
            // The JVM decided against an archive.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.map_err(Error::io(format!("renaming {}", self.making.display()))),
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // There only when the JVM was killed while it wrote.
        let _ = fs::remove_file(&self.making);
    }
}

/// Named after all that the JVM would refuse an archive for.
fn archive_path(jars: &Jars, java: &Path, class: &str) -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    for path in jars.all().iter().map(PathBuf::as_path).chain([java]) {
        let what = || format!("reading {}", path.display());
        let path = fs::canonicalize(path).map_err(Error::io(what()))?;
        let metadata = fs::metadata(&path).map_err(Error::io(what()))?;
        let modified = metadata.modified().map_err(Error::io(what()))?;
        (&path, metadata.len(), modified.duration_since(UNIX_EPOCH).ok()).hash(&mut hasher);
    }
    QUICK_START.hash(&mut hasher);
    Ok(jars.cache().join(format!("{class}-{:016x}.jsa", hasher.finish())))
}

/// Which java runs from now on, instead of the one that is found.
static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Has a java of the user's run brokers and tools; before the first of them starts.
pub(crate) fn use_java(java: &Path) -> Result<(), Error> {
    let java = fs::canonicalize(java).map_err(Error::io(format!("opening {}", java.display())))?;
    CHOSEN.set(java).map_err(|java| Error::Failed {
        what: format!("another java was chosen before {}", java.display()),
        output: String::new(),
    })
}

/// The java that runs brokers and tools.
pub(crate) fn java() -> Result<PathBuf, Error> {
    if let Some(chosen) = CHOSEN.get() {
        return Ok(chosen.clone());
    }
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let found = home.filter(|java| java.is_file()).or_else(|| find_program("java"));
    found.ok_or(Error::Missing { program: "java", purpose: "run Apache Kafka and its tools (17 or later)" })
}

/// Whose log, and so which log4j configuration.
#[derive(Clone, Copy)]
pub(super) enum Log {
    /// A broker's, into the file that takes its standard output.
    Broker,
    /// A tool's: warnings only, to standard error, without clock readings, so that two runs can be compared.
    Tool,
}

impl Log {
    const ALL: [Log; 2] = [Log::Broker, Log::Tool];

    /// All that `write_all` writes.
    pub(super) fn recipe() -> String {
        Log::ALL.map(Log::text).concat()
    }

    /// Writes every configuration into a directory that nobody else knows yet.
    pub(super) fn write_all(directory: &Path) -> Result<(), Error> {
        Log::ALL.iter().try_for_each(|log| {
            let path = directory.join(log.file_name());
            fs::write(&path, log.text()).map_err(Error::io(format!("writing {}", path.display())))
        })
    }

    /// The JVM's option that names the configuration.
    pub(super) fn flag(self, jars: &Jars) -> OsString {
        flag("-Dlog4j2.configurationFile=", &jars.cache().join(self.file_name()))
    }

    fn file_name(self) -> &'static str {
        match self {
            Log::Broker => "log4j2-broker.xml",
            Log::Tool => "log4j2-tool.xml",
        }
    }

    fn text(self) -> String {
        let (stream, pattern, level) = match self {
            Log::Broker => ("SYSTEM_OUT", "[%d] %p %m (%c)%n", "INFO"),
            Log::Tool => ("SYSTEM_ERR", "%p %m (%c)%n", "WARN"),
        };
        format!(
            "<Configuration status=\"ERROR\">\n  <Appenders><Console name=\"out\" target=\"{stream}\">\
             <PatternLayout pattern=\"{pattern}\"/></Console></Appenders>\n  \
             <Loggers><Root level=\"{level}\"><AppenderRef ref=\"out\"/></Root></Loggers>\n\
             </Configuration>\n"
        )
    }
}

/// Arguments given as text.
pub(super) fn os_strings<S: AsRef<OsStr>>(items: &[S]) -> impl Iterator<Item = OsString> + '_ {
    items.iter().map(|item| item.as_ref().to_owned())
}
