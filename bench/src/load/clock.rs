//! The client's clock, in microseconds, and an alarm that is as exact: tokio's own timers tick by milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Microseconds since it was made, and what that is in Unix time. One for all threads of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
    epoch_us: u64,
}

impl Clock {
    pub(super) fn start() -> Clock {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { origin: Instant::now(), epoch_us: epoch.as_micros() as u64 }
    }

    /// Since it was made.
    pub(super) fn now_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }

    /// A moment in Unix time; never steps, unlike the system's.
    pub(super) fn unix_us(&self, at_us: u64) -> u64 {
        self.epoch_us + at_us
    }

    /// The moment of a Unix time; 0 when it lies before the clock's start.
    pub(super) fn at_us(&self, unix_us: u64) -> u64 {
        unix_us.saturating_sub(self.epoch_us)
    }
}

/// Wakes a task at a moment.
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set_for: Option<u64>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is owned by the `AsyncFd` and stays open until that deregisters it.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Alarm { timer, set_for: None })
    }

    /// Returns at that moment or later. May be dropped and called anew.
    pub(super) async fn wait_until(&mut self, clock: &Clock, at_us: u64) -> io::Result<()> {
        let left = at_us.saturating_sub(clock.now_us());
        if left == 0 {
            return Ok(());
        }
        if self.set_for != Some(at_us) {
            let left = Duration::from_micros(left);
            let value = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            self.set_for = Some(at_us);
        }
        loop {
            let mut ready = self.timer.readable().await?;
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0; 8])?));
            match read {
                Ok(read) => {
                    read?;
                    self.set_for = None;
                    return Ok(());
                }
                // It was set anew since it rang.
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_that_was_given_up_does_not_ring_for_the_next_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (clock, mut alarm) = (Clock::start(), Alarm::new().unwrap());
            let first = clock.now_us() + 2_000;
            {
                let waiting = alarm.wait_until(&clock, first);
                tokio::pin!(waiting);
                tokio::select! {
                    biased;
                    _ = &mut waiting => panic!("it rang at once"),
                    () = std::future::ready(()) => {}
                }
            }
            let second = first + 5_000;
            alarm.wait_until(&clock, second).await.unwrap();
            assert!(clock.now_us() >= second);
            // Gone by: no waiting at all.
            alarm.wait_until(&clock, first).await.unwrap();
        });
    }

    #[test]
    fn unix_time_goes_there_and_back() {
        let clock = Clock::start();
        assert_eq!(clock.at_us(clock.unix_us(1_234)), 1_234);
        assert_eq!(clock.at_us(5), 0);
    }
}
