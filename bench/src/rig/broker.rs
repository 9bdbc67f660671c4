//! One running broker, Apache Kafka or Logmill: started on free ports in a directory of its own, stopped,
//! killed, started again on the same data.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

use super::{
    Error, Jars, JvmProfile, Kernel, Tool, Usage,
    directory::RunDirectory,
    jvm::{Archive, Jvm, Log},
    ports::free_port,
    probe,
    process::{Launch, Output, Process},
};

/// How long a broker may take until it serves: far more than on the busiest machine, as its end is noticed
/// at once.
const START_MAX: Duration = Duration::from_secs(300);

/// How long it may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(120);

/// Between two questions whether it serves yet.
const PROBE_EVERY: Duration = Duration::from_millis(5);

const APACHE: &str = "Apache Kafka";
const LOGMILL: &str = "Logmill";

/// Sixteen bytes in base64, as Kafka's tools make them.
const CLUSTER_ID: &str = "cmlncmlncmlncmlncmlncg";

/// How to start Apache Kafka.
#[derive(Clone, Debug)]
pub struct ApacheOptions {
    /// Its jars.
    pub jars: Jars,
    /// How its JVM is set up.
    pub profile: JvmProfile,
    /// The JVM's heap, as `-Xmx` takes it.
    pub heap: String,
    /// Keys of `server.properties`, instead of or beside the rig's own.
    pub properties: Vec<(String, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Where its directory is made.
    pub root: PathBuf,
}

impl ApacheOptions {
    /// As it comes: its scripts' JVM flags and a heap of 1 GiB, data in the system's temporary directory.
    pub fn new(jars: Jars) -> ApacheOptions {
        ApacheOptions {
            jars,
            profile: JvmProfile::AsShipped,
            heap: "1g".into(),
            properties: Vec::new(),
            environment: Vec::new(),
            root: env::temp_dir(),
        }
    }
}

/// How to start Logmill.
#[derive(Clone, Debug)]
pub struct LogmillOptions {
    /// The program `logmill`.
    pub binary: PathBuf,
    /// Keys of `server.properties`, instead of or beside the rig's own.
    pub properties: Vec<(String, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Where its directory is made.
    pub root: PathBuf,
    /// What the kernel grants it.
    pub kernel: Kernel,
}

impl LogmillOptions {
    /// With its defaults, data in the system's temporary directory.
    pub fn new(binary: impl Into<PathBuf>) -> LogmillOptions {
        LogmillOptions {
            binary: binary.into(),
            properties: Vec::new(),
            environment: Vec::new(),
            root: env::temp_dir(),
            kernel: Kernel::Whole,
        }
    }
}

/// A broker of our own: on drop its process ends and its directory is removed.
pub struct Broker {
    name: &'static str,
    launch: Launch,
    /// None once it was stopped. Before `home`: it must have ended when the directory goes.
    process: Option<Process>,
    /// From the start of the process to the first answer that says that it serves.
    start_time: Duration,
    archive: Option<Archive>,
    home: Home,
}

impl Broker {
    /// Formats a directory and starts Apache Kafka in it; returns when it serves.
    pub fn apache(options: ApacheOptions) -> Result<Broker, Error> {
        let home = Home::new(&options.root, &options.properties)?;
        format(&options.jars, &home.config)?;
        let (launch, archive) = apache_in(&home, options)?;
        Broker::start(APACHE, home, launch, archive)
    }

    /// Starts Logmill on a directory that is empty; returns when it serves.
    pub fn logmill(options: LogmillOptions) -> Result<Broker, Error> {
        let home = Home::new(&options.root, &options.properties)?;
        let launch = logmill_in(&home, options);
        Broker::start(LOGMILL, home, launch, None)
    }

    /// From its next start on it is Apache Kafka, in the same directory and with the same settings.
    pub fn become_apache(&mut self, options: ApacheOptions) -> Result<(), Error> {
        self.stop()?;
        (self.launch, self.archive) = apache_in(&self.home, options)?;
        self.name = APACHE;
        Ok(())
    }

    /// From its next start on it is Logmill, in the same directory and with the same settings.
    pub fn become_logmill(&mut self, options: LogmillOptions) -> Result<(), Error> {
        self.stop()?;
        (self.launch, self.archive) = (logmill_in(&self.home, options), None);
        self.name = LOGMILL;
        Ok(())
    }

    /// Its `server.properties`.
    pub fn config_file(&self) -> &Path {
        &self.home.config
    }

    fn start(
        name: &'static str,
        home: Home,
        launch: Launch,
        archive: Option<Archive>,
    ) -> Result<Broker, Error> {
        let mut broker = Broker { name, launch, process: None, start_time: Duration::ZERO, archive, home };
        broker.restart()?;
        Ok(broker)
    }

    /// Starts it again on the same data and the same ports, after stopping it when it runs; returns when it
    /// serves.
    pub fn restart(&mut self) -> Result<(), Error> {
        let deadline = self.launch()? + START_MAX;
        let log = self.log_file();
        let started = deadline - START_MAX;
        loop {
            // Waits on the process, so that its death is noticed at once.
            if let Some(status) = self.await_end(Instant::now() + PROBE_EVERY) {
                return Err(Error::with_log(format!("{} ended at its start: {status}", self.name), &log));
            }
            if probe::serves(self.home.address()) {
                self.start_time = started.elapsed();
                return Ok(());
            }
            if Instant::now() > deadline {
                self.kill();
                let what = format!("{} did not serve within {START_MAX:?}", self.name);
                return Err(Error::with_log(what, &log));
            }
        }
    }

    /// As `restart`, but says when its process began and does not wait.
    pub fn launch(&mut self) -> Result<Instant, Error> {
        self.stop()?;
        let log = self.log_file();
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let output = Output::File(output.map_err(Error::io(format!("opening {}", log.display())))?);
        let started = Instant::now();
        self.process = Some(Process::spawn(&self.launch, output)?);
        Ok(started)
    }

    /// Its status if it ends by itself before the deadline.
    pub fn await_end(&mut self, deadline: Instant) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.wait(deadline)?;
        self.process = None;
        Some(status)
    }

    /// How long its last start took until it served.
    pub fn start_time(&self) -> Duration {
        self.start_time
    }

    /// SIGTERM, and SIGKILL if that does not end it in time. None when it was stopped already.
    pub fn stop(&mut self) -> Result<Option<ExitStatus>, Error> {
        let Some(mut process) = self.process.take() else { return Ok(None) };
        let status = process.stop(STOP_MAX);
        if status.code().is_some()
            && let Some(archive) = &self.archive
        {
            archive.publish()?;
        }
        Ok(Some(status))
    }

    /// SIGKILL; its data stays as it lies.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// What clients take as `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.home.address().to_string()
    }

    /// Where it listens for clients.
    pub fn address(&self) -> SocketAddr {
        self.home.address()
    }

    /// Its process id. None when it was stopped or killed.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// What its process used since its start.
    pub fn usage(&self) -> Result<Usage, Error> {
        let stopped = || Error::Failed { what: format!("{} is stopped", self.name), output: String::new() };
        Usage::of(self.pid().ok_or_else(stopped)?)
    }

    /// Its directory of logs, unless a property named others.
    pub fn log_dir(&self) -> PathBuf {
        self.home.log_dir()
    }

    /// All that it has written to its standard output and error.
    pub fn log_file(&self) -> PathBuf {
        self.home.directory.path().join("broker.log")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if thread::panicking() {
            // The log goes with the directory, and may say why.
            eprintln!("{:?}", Error::with_log(format!("the log of {}:", self.name), &self.log_file()));
        } else if self.archive.is_some() {
            // Only a JVM that ends by itself writes its archive. Without it the next start is slower.
            let _ = self.stop();
        }
        self.kill();
    }
}

/// Where a broker lives: its directory, its ports, its configuration.
struct Home {
    directory: RunDirectory,
    config: PathBuf,
    port: u16,
}

impl Home {
    fn new(root: &Path, properties: &[(String, String)]) -> Result<Home, Error> {
        let directory = RunDirectory::create(root)?;
        let config = directory.path().join("server.properties");
        let home = Home { directory, config, port: free_port()? };
        let mut all = home.properties(free_port()?);
        all.extend(properties.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let text: String = all.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(&home.config, text).map_err(Error::io(format!("writing {}", home.config.display())))?;
        Ok(home)
    }

    /// A single broker that is its own controller, and whose internal topics have one replica.
    fn properties(&self, controller_port: u16) -> BTreeMap<&'static str, String> {
        let client = format!("PLAINTEXT://{}", self.address());
        let controller = format!("127.0.0.1:{controller_port}");
        BTreeMap::from([
            ("process.roles", "broker,controller".into()),
            ("node.id", "1".into()),
            ("listeners", format!("{client},CONTROLLER://{controller}")),
            ("advertised.listeners", client),
            ("controller.listener.names", "CONTROLLER".into()),
            ("controller.quorum.bootstrap.servers", controller),
            ("inter.broker.listener.name", "PLAINTEXT".into()),
            ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".into()),
            ("log.dirs", self.log_dir().display().to_string()),
            ("offsets.topic.replication.factor", "1".into()),
            ("transaction.state.log.replication.factor", "1".into()),
            ("transaction.state.log.min.isr", "1".into()),
            ("share.coordinator.state.topic.replication.factor", "1".into()),
            ("share.coordinator.state.topic.min.isr", "1".into()),
        ])
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn log_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

fn apache_in(home: &Home, options: ApacheOptions) -> Result<(Launch, Option<Archive>), Error> {
    let flags = [
        format!("-Xmx{}", options.heap).into(),
        format!("-Xms{}", options.heap).into(),
        Log::Broker.flag(&options.jars),
    ];
    let arguments = [home.config.clone().into_os_string()];
    let mut jvm = Jvm::new(&options.jars, options.profile, flags, "kafka.Kafka", arguments)?;
    jvm.launch.environment = options.environment;
    Ok((jvm.launch, jvm.archive))
}

fn logmill_in(home: &Home, options: LogmillOptions) -> Launch {
    Launch {
        program: options.binary,
        arguments: vec![OsString::from("server"), home.config.clone().into_os_string()],
        environment: options.environment,
        kernel: options.kernel,
    }
}

fn format(jars: &Jars, config: &Path) -> Result<(), Error> {
    let config = config.display().to_string();
    let arguments = ["format", "--standalone", "--cluster-id", CLUSTER_ID, "--config", &config];
    let output = Tool::new(jars, "kafka.tools.StorageTool").arguments(arguments).run()?;
    if output.code == 0 {
        return Ok(());
    }
    Err(Error::Failed {
        what: format!("formatting a directory for Apache Kafka: exit code {}", output.code),
        output: output.stdout + &output.stderr,
    })
}
