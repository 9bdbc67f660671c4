//! The process that is the disk: mounts its one file, obeys the lines on standard input, ends with it.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use fuser::Session;

use super::disk::{Disk, State, lock};
use super::image::Image;
use super::order::{Afterwards, Cut, Order};

/// A disk that is silent for longer answers with errors: whoever waits for it cannot even be killed.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// What the disk prints when it is there.
pub(super) const SERVING: &str = "serving";

/// A disk, as its process is told of it.
#[derive(Debug, Clone, clap::Args)]
pub struct DiskArgs {
    /// Where the directory that holds the disk's file is mounted.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Bytes that it holds.
    #[arg(long)]
    pub(super) bytes: u64,
    /// Bytes that it writes whole or not at all.
    #[arg(long)]
    pub(super) sector_bytes: u32,
}

impl DiskArgs {
    /// Is the disk until standard input ends.
    pub(crate) fn run(&self) -> io::Result<()> {
        let image = Image::new(self.bytes, self.sector_bytes as usize)?;
        let (lost, losses) = mpsc::channel();
        let state = Arc::new(Mutex::new(State::new(image, lost)));
        let session = Session::new(Disk { state: state.clone() }, &self.dir, &fuser::Config::default())?;
        // Ended with this process: what is mounted on the disk may need it to the last.
        let _mounted = session.spawn()?;
        thread::Builder::new().name("losses".into()).spawn(move || {
            for lost in losses {
                println!(
                    "cut: {} of {} sectors lost, {} writes unflushed",
                    lost.sectors_lost, lost.sectors, lost.writes
                );
            }
        })?;
        println!("{SERVING}");
        for line in io::stdin().lock().lines() {
            match obey(&state, &line?) {
                Ok(()) => println!("ok"),
                Err(error) => println!("error: {error}"),
            }
            io::stdout().flush()?;
        }
        // The mount goes with the namespace; unmounting it here would wait for what is mounted above.
        std::process::exit(0)
    }
}

fn obey(state: &Arc<Mutex<State>>, line: &str) -> Result<(), String> {
    let order = line.parse()?;
    let mut locked = lock(state);
    locked.obey(order).map_err(|error| error.to_string())?;
    let cut = locked.last_cut();
    drop(locked);
    if let Order::Cut(Cut { afterwards: Afterwards::Silent, .. }) = order {
        let state = state.clone();
        let watch = move || {
            thread::sleep(SILENT_MAX);
            let mut state = lock(&state);
            if state.last_cut() == cut {
                state.release();
            }
        };
        thread::Builder::new().name("silence".into()).spawn(watch).map_err(|error| error.to_string())?;
    }
    Ok(())
}
