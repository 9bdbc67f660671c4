//! `Broker`: what all shards share; and its start and stop, a thread for each shard.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;

use logmill_engine::Error;
use logmill_engine::disk::os::OsDisk;
use logmill_engine::disk::{Disk, OpenFile, uring};
use logmill_engine::shard::OpenPartition;

use crate::clean_stop;
use crate::clock::SystemClock;
use crate::config::{self, Config, Io, Listener};
use crate::journals::{self, Journals};
use crate::metadata::{
    ApacheTopics, Checkpoints, Image, LogDirs, TopicStore, prepare_log_dirs, run_controller,
};
use crate::metrics;
use crate::net::admission::Admission;
use crate::net::connections::Connections;
use crate::net::runtime::{self, Termination, TokioRuntime};
use crate::net::socket::{self, BoundSocket};
use crate::net::{self, accept};
use crate::pace::Pace;
use crate::random::SeededRandom;
use crate::shard::{Host, LocalShard, OpenShard, ShardParts, Stopped, connect, owner_of};
use crate::stop::{StopReason, StopSignal};
use crate::wire::Text;

/// What all shards share.
#[derive(Debug)]
pub struct Broker {
    /// What the broker was told to be.
    pub config: Config,
    /// The cluster that its log directories belong to.
    pub cluster_id: Text,
    /// By listener, the address that clients are told.
    pub advertised: Vec<Listener>,
    /// Ends the broker.
    pub stop: StopSignal,
    /// The bounds on connections.
    pub(crate) admission: Arc<Admission>,
}

impl Broker {
    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.config.shards as usize
    }
}

/// Why a broker did not start, or ended.
#[derive(Debug)]
pub enum BrokerError {
    /// A listener's port cannot be opened.
    Listen {
        /// The listener.
        listener: Listener,
        /// What the kernel says.
        source: io::Error,
    },
    /// A host of `max.connections.per.ip.overrides` has no address.
    UnknownHost {
        /// The host.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The kernel grants no ring although the settings demand one.
    NoRing,
    /// A thread or its runtime could not be started.
    Thread(io::Error),
    /// The signals that stop a broker cannot be caught.
    Signals(io::Error),
    /// The log directories cannot be served from.
    Storage(Error),
    /// It ran, and could not go on.
    Failed(String),
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokerError::Listen { listener, source } => write!(f, "cannot listen on {listener}: {source}"),
            BrokerError::UnknownHost { host, source } => {
                write!(f, "max.connections.per.ip.overrides: no address for {host}: {source}")
            }
            BrokerError::NoRing => f.write_str(
                "logmill.io=uring, but the kernel grants this process no io_uring: try logmill.io=auto",
            ),
            BrokerError::Thread(source) => write!(f, "cannot start a shard's thread: {source}"),
            BrokerError::Signals(source) => write!(f, "cannot catch signals: {source}"),
            BrokerError::Storage(error) => error.fmt(f),
            BrokerError::Failed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for BrokerError {}

impl From<Error> for BrokerError {
    fn from(error: Error) -> BrokerError {
        BrokerError::Storage(error)
    }
}

/// The parts of a broker before it has threads: the same for real and for simulated ones.
pub(crate) struct Prepared {
    pub(crate) broker: Arc<Broker>,
    pub(crate) store: TopicStore,
    pub(crate) shards: Vec<ShardParts>,
    journal_bytes_read: u64,
    /// Other brokers keep out as long as these are held.
    pub(crate) locks: Vec<OpenFile>,
}

/// Reads the log directories and deals their partitions out to the shards.
pub(crate) fn prepare(
    mut config: Config,
    disk: &Arc<dyn Disk>,
    advertised: Vec<Listener>,
    admission: Admission,
    random: &SeededRandom,
    pace: Pace,
) -> Result<Prepared, Error> {
    settle_cluster_defaults(&mut config);
    let LogDirs { cluster_id, locks } = prepare_log_dirs(&**disk, &config, random)?;
    let store = TopicStore::new(disk.clone(), config.log_dirs.clone(), pace)
        .with_apache(ApacheTopics::read(&**disk, &config)?);
    let was_clean: Vec<bool> =
        config.log_dirs.iter().map(|dir| clean_stop::take(&**disk, dir)).collect::<Result<_, _>>()?;
    let find = || Journals::find(&**disk, &config, &was_clean, pace);
    let (image, journals) = pace.both(|| store.load(), find);
    let (image, journals) = (Arc::new(image?), journals?);
    // After the store has taken the lines of deleted topics out.
    let dirs = config.log_dirs.iter();
    let checkpoints: Vec<Checkpoints> =
        dirs.map(|dir| Checkpoints::read(&**disk, dir)).collect::<Result<_, _>>()?;
    let journal_bytes_read = journals.bytes_read();
    let shards = deal(&config, &image, &was_clean, &checkpoints, journals, (random, pace));
    let stop = StopSignal::default();
    let admission = Arc::new(admission);
    let broker = Broker { config, cluster_id: Text::from(cluster_id), advertised, stop, admission };
    Ok(Prepared { broker: Arc::new(broker), store, shards, journal_bytes_read, locks })
}

/// Apache Kafka's controller writes this one setting down for the whole cluster when it first starts, and
/// its tools show it as set from then on.
fn settle_cluster_defaults(config: &mut Config) {
    const KEY: &str = "min.insync.replicas";
    if let Ok(Some(value)) = config.layers.value(KEY) {
        config.layers.cluster.entry(KEY.to_owned()).or_insert(value.to_string());
    }
}

fn deal(
    config: &Config,
    image: &Arc<Image>,
    was_clean: &[bool],
    checkpoints: &[Checkpoints],
    mut journals: Journals,
    (random, pace): (&SeededRandom, Pace),
) -> Vec<ShardParts> {
    let shards = config.shards as usize;
    let mut partitions: Vec<Vec<OpenPartition>> = vec![Vec::new(); shards];
    for mut partition in image.topics().flat_map(|topic| topic.to_open(config)) {
        partition.known.was_clean = was_clean[partition.dir];
        partition.replay = journals.take(partition.dir, partition.id);
        checkpoints[partition.dir].tell(&partition.topic, partition.id.index, &mut partition.known);
        partitions[owner_of(partition.id, shards)].push(partition);
    }
    connect(shards, config.mailbox_messages_max as usize)
        .into_iter()
        .zip(partitions)
        .enumerate()
        .map(|(index, ((lanes, mailbox), partitions))| ShardParts {
            index,
            lanes,
            mailbox,
            partitions,
            journals: journals.of_shard(index, config, random),
            image: image.clone(),
            pace,
        })
        .collect()
}

/// A broker that serves. Dropping it asks it to stop; [`Running::join`] waits for that.
#[derive(Debug)]
pub struct Running {
    broker: Arc<Broker>,
    disk: Arc<dyn Disk>,
    store: TopicStore,
    ports: Vec<u16>,
    metrics_port: Option<u16>,
    threads: Vec<thread::JoinHandle<Result<Stopped, Error>>>,
    /// Other brokers keep out as long as these are held.
    _locks: Vec<OpenFile>,
}

/// Starts a broker on real disks, sockets and threads; it serves when this returns.
pub fn start(config: Config) -> Result<Running, BrokerError> {
    let has_ring = match config.io {
        Io::Syscalls => false,
        Io::Auto => uring::is_granted(),
        Io::Uring if uring::is_granted() => true,
        Io::Uring => return Err(BrokerError::NoRing),
    };
    tracing::info!("syncs by {}", if has_ring { "io_uring" } else { "plain system calls on helper threads" });
    let disk = if has_ring { OsDisk::with_uring() } else { OsDisk::with_helper(spawn_helper) };
    start_on(Arc::new(disk), has_ring, config)
}

/// Starts a broker on this disk, and real sockets and threads: with `has_ring` these run on rings of the kernel's.
pub fn start_on(disk: Arc<dyn Disk>, has_ring: bool, config: Config) -> Result<Running, BrokerError> {
    let descriptors = runtime::raise_descriptor_limit();
    let admission = Admission::new(&config, per_address_overrides(&config)?, descriptors);
    let Opened { advertised, ports, sockets } = open_ports(&config)?;
    let mut metrics = config.metrics_listener.as_ref().map(open_metrics).transpose()?;
    let random = SeededRandom::from_os();
    let Prepared { broker, store, shards, journal_bytes_read, locks } =
        prepare(config, &disk, advertised, admission, &random, Pace::AtOnce)?;
    let mut running = Running {
        broker: broker.clone(),
        disk: disk.clone(),
        store: store.clone(),
        ports,
        metrics_port: None,
        threads: Vec::new(),
        _locks: locks,
    };
    running.metrics_port = metrics.as_ref().and_then(|socket| socket.port().ok());
    let (opened, is_opened) = mpsc::channel();
    let mut gos = Vec::new();
    let (ready, is_ready) = mpsc::channel();
    let mut store = Some(store);
    for (parts, sockets) in shards.into_iter().zip(sockets) {
        let thread = ShardThread {
            broker: broker.clone(),
            disk: disk.clone(),
            store: store.take(),
            metrics: metrics.take(),
            parts,
            sockets,
            opened: opened.clone(),
            go: {
                let (go, is_told) = mpsc::channel();
                gos.push(go);
                is_told
            },
            ready: ready.clone(),
        };
        let spawned = thread::Builder::new()
            .name(format!("shard-{}", thread.parts.index))
            .spawn(move || thread.run(has_ring))
            .map_err(BrokerError::Thread)?;
        running.threads.push(spawned);
    }
    drop((opened, ready));
    // A journal may hold what belongs to partitions of any shard: none is begun anew before all are open. A shard
    // that fails hangs up; the others, which wait to be told, then end too.
    if is_opened.iter().count() == running.threads.len() {
        for go in &gos {
            // One that has failed since then is found out below.
            let _ = go.send(());
        }
    }
    drop(gos);
    // Every shard says so once; one that fails hangs up instead.
    let bytes_read: Vec<u64> = is_ready.iter().collect();
    if bytes_read.len() < running.threads.len() {
        broker.stop.fail("a shard did not start");
        return Err(running.join().err().unwrap_or(BrokerError::Failed("a shard did not start".to_owned())));
    }
    journals::remove_others(&*disk, &broker.config)?;
    tracing::info!(
        "the start read {journal_bytes_read} bytes of journals and {} of segments and their indexes",
        bytes_read.iter().sum::<u64>()
    );
    for (listener, advertised) in broker.config.listeners.iter().zip(&broker.advertised) {
        tracing::info!("listening on {listener}, advertised as {advertised}");
    }
    Ok(running)
}

pub(crate) fn spawn_helper(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name("disk-helper".to_owned()).spawn(work).map(drop)
}

fn per_address_overrides(config: &Config) -> Result<HashMap<IpAddr, u32>, BrokerError> {
    let mut overrides = HashMap::new();
    for (host, max) in &config.connections_per_ip_overrides {
        let addresses = socket::addresses_of(host)
            .map_err(|source| BrokerError::UnknownHost { host: host.clone(), source })?;
        overrides.extend(addresses.into_iter().map(|address| (address, *max)));
    }
    Ok(overrides)
}

/// The ports of a broker, open.
struct Opened {
    /// What clients are told, real ports filled in.
    advertised: Vec<Listener>,
    /// By listener.
    ports: Vec<u16>,
    /// By shard, in the order of the listeners.
    sockets: Vec<Vec<BoundSocket>>,
}

fn open_ports(config: &Config) -> Result<Opened, BrokerError> {
    let shards = config.shards as usize;
    let mut advertised = config.advertised_listeners.clone();
    let mut ports = Vec::with_capacity(config.listeners.len());
    let mut sockets: Vec<Vec<BoundSocket>> = (0..shards).map(|_| Vec::new()).collect();
    for listener in &config.listeners {
        let failed = |source| BrokerError::Listen { listener: listener.clone(), source };
        let bound = socket::bind(&listener.host, listener.port, shards).map_err(failed)?;
        let port = bound[0].port().map_err(failed)?;
        let told = advertised.iter_mut().filter(|told| told.name == listener.name && told.port == 0);
        told.for_each(|told| told.port = port);
        ports.push(port);
        sockets.iter_mut().zip(bound).for_each(|(sockets, socket)| sockets.push(socket));
    }
    Ok(Opened { advertised, ports, sockets })
}

fn open_metrics(listener: &Listener) -> Result<BoundSocket, BrokerError> {
    let failed = |source| BrokerError::Listen { listener: listener.clone(), source };
    let mut bound = socket::bind(&listener.host, listener.port, 1).map_err(failed)?;
    Ok(bound.pop().expect("one was asked for"))
}

struct ShardThread {
    broker: Arc<Broker>,
    disk: Arc<dyn Disk>,
    /// The controller's, on the shard that it runs on.
    store: Option<TopicStore>,
    /// The metrics' listener, on the same shard.
    metrics: Option<BoundSocket>,
    parts: ShardParts,
    sockets: Vec<BoundSocket>,
    /// Told when the shard's partitions are open.
    opened: mpsc::Sender<()>,
    /// Tells when those of all shards are.
    go: mpsc::Receiver<()>,
    /// Told how many bytes the shard has read of segments, when it serves.
    ready: mpsc::Sender<u64>,
}

impl ShardThread {
    fn run(self, has_ring: bool) -> Result<Stopped, Error> {
        let broker = self.broker.clone();
        let index = self.parts.index;
        if broker.config.pin_shards {
            pin(index);
        }
        let ended = runtime::run(has_ring, self.serve());
        let result = ended.unwrap_or_else(|source| {
            Err(Error::Io { doing: format!("starting the runtime of shard {index}"), source })
        });
        // A broker with a shard less would leave that shard's partitions hanging.
        if let Err(error) = &result {
            broker.stop.fail(error.to_string());
        }
        result
    }

    async fn serve(self) -> Result<Stopped, Error> {
        let host = Host {
            runtime: Rc::new(TokioRuntime),
            clock: Rc::new(SystemClock),
            random: Rc::new(SeededRandom::from_os()),
            disk: self.disk,
        };
        let mut listeners = Vec::new();
        for socket in self.sockets {
            let listener = socket.into_listener();
            listeners.push(listener.map_err(crate::shard::io_error("beginning to accept"))?);
        }
        let shard = OpenShard::open(self.parts, self.broker.clone(), host)?;
        let _ = self.opened.send(());
        drop(self.opened);
        if self.go.recv().is_err() {
            // Another shard has failed, and says why.
            return Ok(Stopped::default());
        }
        let shard = serve_shard(shard, self.store, listeners)?;
        if let Some(socket) = self.metrics {
            let listener = socket.into_listener().map_err(crate::shard::io_error("beginning to accept"))?;
            shard.host().runtime.spawn(Box::pin(metrics::listener::run(listener, shard.clone())));
        }
        // Nobody waits any more when another shard has failed.
        let _ = self.ready.send(shard.opening_bytes_read());
        drop(self.ready);
        if self.broker.stop.wait().await == StopReason::Asked {
            // Any shard may be needed for an answer of any other: none ends before all connections have.
            shard.drain();
            tokio::select! {
                () = self.broker.admission.wait_for_none() => (),
                _ = self.broker.stop.wait_for_haste() => (),
            }
        }
        shard.stop()
    }
}

/// Starts a shard's loops on its own thread: mail, completions, the look at idle connections, the controller
/// where it belongs, and one accept loop for each listener.
pub(crate) fn serve_shard(
    shard: OpenShard,
    store: Option<TopicStore>,
    listeners: Vec<Box<dyn net::Listener>>,
) -> Result<Rc<LocalShard>, Error> {
    let shard = shard.begin()?;
    if let Some(store) = store {
        run_controller(&shard, store);
    }
    if let Some(look_every_ms) = Connections::look_every_ms(shard.broker().config.connections_max_idle_ms) {
        let looking = look_at_connections(shard.clone(), look_every_ms);
        shard.host().runtime.spawn(Box::pin(looking));
    }
    if shard.broker().config.ack == config::Ack::PageCache {
        shard.host().runtime.spawn(Box::pin(flush_late(shard.clone())));
    }
    for (index, listener) in listeners.into_iter().enumerate() {
        shard.host().runtime.spawn(Box::pin(accept::run(listener, index, shard.clone())));
    }
    Ok(shard)
}

async fn flush_late(shard: Rc<LocalShard>) {
    loop {
        shard.host().runtime.sleep(shard.broker().config.flush_check_interval_ms).await;
        shard.flush_late();
    }
}

async fn look_at_connections(shard: Rc<LocalShard>, every_ms: u64) {
    loop {
        shard.host().runtime.sleep(every_ms).await;
        shard.connections().look();
    }
}

fn pin(shard: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let is_pinned = !cores.is_empty() && core_affinity::set_for_current(cores[shard % cores.len()]);
    if !is_pinned {
        tracing::warn!("shard {shard} cannot be pinned to a core");
    }
}

impl Running {
    /// What its shards share.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The port where metrics are served, if they are.
    pub fn metrics_port(&self) -> Option<u16> {
        self.metrics_port
    }

    /// By listener, the port that it has open.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Waits until the broker has ended, of itself or because [`StopSignal::ask`] told it to.
    pub fn join(mut self) -> Result<(), BrokerError> {
        let mut first_error = None;
        let (mut marks, mut offline_dirs) = (Vec::new(), HashSet::new());
        for thread in std::mem::take(&mut self.threads) {
            let result = thread.join().unwrap_or_else(|_| {
                self.broker.stop.fail("a shard's thread panicked");
                Ok(Stopped::default())
            });
            match result {
                Ok(mut stopped) => {
                    marks.append(&mut stopped.marks);
                    offline_dirs.extend(stopped.offline_dirs);
                }
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        match (first_error, self.broker.stop.reason()) {
            (Some(error), _) => Err(BrokerError::Storage(error)),
            (None, Some(StopReason::Failed(reason))) => Err(BrokerError::Failed(reason)),
            (None, _) => {
                let log_dirs = &self.broker.config.log_dirs;
                let left = clean_stop::leave(&*self.disk, log_dirs, &self.store, &marks, &offline_dirs);
                Ok(left.map(drop)?)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.broker.stop.ask();
    }
}

/// Runs a broker until SIGTERM or SIGINT, then stops it cleanly; a second one has it wait for nobody.
pub fn run(config: Config) -> Result<(), BrokerError> {
    let mut termination = Termination::catch().map_err(BrokerError::Signals)?;
    let running = start(config)?;
    let broker = running.broker().clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            // What a log line holds is not looked at where its level is off.
            let signal = termination.wait();
            tracing::info!("{signal}: stopping when what was asked for is answered");
            broker.stop.ask();
            let signal = termination.wait();
            tracing::info!("{signal}: stopping at once");
            broker.stop.ask();
        })
        .map_err(BrokerError::Thread)?;
    running.join()?;
    tracing::info!("stopped");
    Ok(())
}
