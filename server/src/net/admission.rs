//! `Admission`: how many connections the process takes, from whom, and how fast.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::Config;

/// Of the files that the process may open, the part that connections never take: logs need theirs to go on.
const DESCRIPTORS_KEPT_ONE_IN: u64 = 4;
/// Connections may come together that a steady rate would have let in within so many microseconds.
const BURST_US: i64 = 1_000_000;

/// The bounds on connections, shared by all shards.
#[derive(Debug)]
pub(crate) struct Admission {
    slots: Arc<Semaphore>,
    /// The listener between brokers, where there are others beside it: it has no need of a slot.
    free_listener: Option<usize>,
    per_address: Option<PerAddress>,
    rate: Option<Rate>,
    open: watch::Sender<usize>,
}

/// What a connection holds while it is open.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    slot: Option<OwnedSemaphorePermit>,
    address: Option<IpAddr>,
}

#[derive(Debug)]
struct PerAddress {
    max: u32,
    overrides: HashMap<IpAddr, u32>,
    /// Behind a lock that is taken when a connection comes or goes, and only where there is such a limit.
    open: Mutex<HashMap<IpAddr, u32>>,
}

#[derive(Debug)]
struct Rate {
    interval_us: i64,
    /// When the next connection is due, if they came one after the other.
    due_us: AtomicI64,
}

impl Admission {
    /// `overrides` are those of `max.connections.per.ip.overrides` by address, `descriptors` the files that
    /// the process may open.
    pub(crate) fn new(
        config: &Config,
        overrides: HashMap<IpAddr, u32>,
        descriptors: Option<u64>,
    ) -> Admission {
        let spare = descriptors.map_or(u64::MAX, |all| all - all / DESCRIPTORS_KEPT_ONE_IN);
        let slots = u64::from(config.connections_max).min(spare);
        let per_address = (config.connections_per_ip_max < i32::MAX as u32 || !overrides.is_empty())
            .then(|| PerAddress { max: config.connections_per_ip_max, overrides, open: Mutex::default() });
        let is_inter_broker = |name: &str| name.eq_ignore_ascii_case(&config.inter_broker_listener);
        let free_listener = config.listeners.iter().position(|listener| is_inter_broker(&listener.name));
        Admission {
            slots: Arc::new(Semaphore::new(slots as usize)),
            free_listener: free_listener.filter(|_| config.listeners.len() > 1),
            per_address,
            rate: Rate::new(config.connection_creation_rate_max),
            open: watch::Sender::new(0),
        }
    }

    /// Counts a connection of this address. `None`: there are too many of them.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        if let Some(per_address) = &self.per_address
            && !per_address.enter(address)
        {
            return None;
        }
        self.open.send_modify(|open| *open += 1);
        let address = self.per_address.is_some().then_some(address);
        Some(Admitted { admission: self.clone(), slot: None, address })
    }

    /// Waits until none is open.
    pub(crate) async fn wait_for_none(&self) {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open == 0).await.expect("the sender is part of this");
    }
}

impl Admitted {
    /// Waits for a slot among `max.connections`. Whoever accepts waits too: those that come next are left to
    /// the kernel.
    pub(crate) async fn take_slot(&mut self, listener: usize) {
        if self.admission.free_listener != Some(listener) {
            let slot = self.admission.slots.clone().acquire_owned().await;
            self.slot = Some(slot.expect("nobody closes it"));
        }
    }

    /// How long the connection is early, at the rate that they may come.
    pub(crate) fn delay_ms(&self, now_ms: i64) -> u64 {
        self.admission.rate.as_ref().map_or(0, |rate| rate.delay_ms(now_ms))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let (Some(per_address), Some(address)) = (&self.admission.per_address, self.address) {
            per_address.leave(address);
        }
        self.admission.open.send_modify(|open| *open -= 1);
    }
}

impl PerAddress {
    fn enter(&self, address: IpAddr) -> bool {
        let max = *self.overrides.get(&address).unwrap_or(&self.max);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        let is_taken = *count < max;
        *count += u32::from(is_taken);
        if *count == 0 {
            open.remove(&address);
        }
        is_taken
    }

    fn leave(&self, address: IpAddr) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

impl Rate {
    fn new(per_second: u32) -> Option<Rate> {
        let is_limited = per_second < i32::MAX as u32;
        // At a rate of 0 the next one is never due.
        let interval_us = 1_000_000_i64.checked_div(per_second.into()).unwrap_or(i64::MAX);
        is_limited.then(|| Rate { interval_us, due_us: AtomicI64::new(i64::MIN) })
    }

    fn delay_ms(&self, now_ms: i64) -> u64 {
        let now_us = now_ms.saturating_mul(1_000);
        let place_of = |due_us: i64| due_us.max(now_us - BURST_US);
        let next = |due_us| Some(place_of(due_us).saturating_add(self.interval_us));
        let due_us = self.due_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let place_us = place_of(due_us.unwrap_or_else(|due_us| due_us));
        (place_us.saturating_sub(now_us).max(0) as u64).div_ceil(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn admission(
        settings: &[(&str, &str)],
        overrides: &[(IpAddr, u32)],
        files: Option<u64>,
    ) -> Arc<Admission> {
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let machine = Machine { host_name: "box".to_owned(), cores: 1 };
        let (config, _) = Config::load(None, [], &settings, &machine).unwrap();
        Arc::new(Admission::new(&config, overrides.iter().copied().collect(), files))
    }

    fn has_slot(admitted: &mut Admitted, listener: usize) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(admitted.take_slot(listener)).poll(&mut cx).is_ready()
    }

    #[test]
    fn an_address_has_so_many_connections_or_what_it_is_granted() {
        let admission = admission(&[("max.connections.per.ip", "1")], &[(THERE, 2)], None);
        let first = admission.enter(HERE).unwrap();
        assert!(admission.enter(HERE).is_none());
        let others = [admission.enter(THERE).unwrap(), admission.enter(THERE).unwrap()];
        assert!(admission.enter(THERE).is_none());
        assert_eq!(*admission.open.borrow(), 3);
        drop((first, others));
        assert_eq!(*admission.open.borrow(), 0);
        assert!(admission.per_address.as_ref().unwrap().open.lock().unwrap().is_empty());
        assert!(admission.enter(HERE).is_some());
    }

    #[test]
    fn a_connection_waits_for_aslot_but_not_between_brokers() {
        let admission = admission(
            &[
                ("max.connections", "1"),
                ("listeners", "PLAINTEXT://:1,OUTSIDE://:2"),
                ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT"),
            ],
            &[],
            None,
        );
        let [mut first, mut second, mut third] = [(); 3].map(|()| admission.enter(HERE).unwrap());
        assert!(has_slot(&mut first, 1));
        assert!(!has_slot(&mut second, 1));
        assert!(has_slot(&mut third, 0));
        drop(first);
        assert!(has_slot(&mut second, 1));
    }

    #[test]
    fn connections_leave_descriptors_to_the_logs() {
        let admission = admission(&[], &[], Some(8));
        let taken = (0..8).map(|_| admission.enter(HERE).unwrap());
        let mut taken: Vec<Admitted> = taken.collect();
        assert_eq!(taken.iter_mut().filter_map(|one| has_slot(one, 0).then_some(())).count(), 6);
    }

    #[test]
    fn connections_that_come_too_fast_wait_for_their_time() {
        let rate = Rate::new(10).unwrap();
        let at_once: Vec<u64> = (0..13).map(|_| rate.delay_ms(5_000)).collect();
        assert_eq!(at_once, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
        assert_eq!(rate.delay_ms(5_250), 50);
        assert_eq!(rate.delay_ms(60_000), 0);
        assert!(Rate::new(i32::MAX as u32).is_none());
        let never = Rate::new(0).unwrap();
        never.delay_ms(0);
        assert!(never.delay_ms(1_000_000) > 1 << 40);
    }
}
