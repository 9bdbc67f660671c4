//! `Schedule`: when each message of a producer is due, whether or not it can be sent then.

/// Messages at even distances. What is late stays due: a stall shows in the latency of every message that it
/// held up, not only in that of those in flight.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    start_us: u64,
    /// Between two messages.
    every_us: f64,
    /// How many were taken.
    taken: u64,
}

impl Schedule {
    /// For producer `index` of `producers`, which share `messages_per_s`; each begins a little later than the
    /// one before, so that they do not send at the same moments.
    pub(super) fn new(start_us: u64, messages_per_s: f64, index: u32, producers: u32) -> Schedule {
        let every_us = 1e6 * f64::from(producers) / messages_per_s;
        let phase = every_us * f64::from(index) / f64::from(producers);
        Schedule { start_us: start_us + phase as u64, every_us, taken: 0 }
    }

    /// Moves all of it to another beginning, before any is taken.
    pub(super) fn begin(&mut self, start_us: u64) {
        self.start_us += start_us;
    }

    /// When the message with this number is due, counted from 0.
    pub(super) fn due_at(&self, number: u64) -> u64 {
        self.start_us + (number as f64 * self.every_us) as u64
    }

    /// Messages that are due and were not taken.
    pub(super) fn waiting(&self, now_us: u64) -> u64 {
        self.due(now_us).saturating_sub(self.taken)
    }

    /// Messages that are due by then, taken or not.
    fn due(&self, now_us: u64) -> u64 {
        match now_us.checked_sub(self.start_us) {
            None => 0,
            Some(since) => {
                // Rounding may be off by one in either direction; `due_at` decides.
                let mut due = (since as f64 / self.every_us) as u64 + 1;
                while due > 0 && self.due_at(due - 1) > now_us {
                    due -= 1;
                }
                while self.due_at(due) <= now_us {
                    due += 1;
                }
                due
            }
        }
    }

    /// The number of the first message that was not taken.
    pub(super) fn next(&self) -> u64 {
        self.taken
    }

    /// Takes the next so many; says the number of the first.
    pub(super) fn take(&mut self, count: u64) -> u64 {
        let first = self.taken;
        self.taken += count;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stall_held_up_is_due_at_its_own_time() {
        // A thousand a second; the client is away from 10 ms to 510 ms.
        let mut schedule = Schedule::new(1_000, 1_000.0, 0, 1);
        assert_eq!(schedule.waiting(11_000), 11);
        schedule.take(11);
        assert_eq!(schedule.waiting(511_000), 500);
        let first = schedule.take(500);
        let latencies: Vec<u64> =
            (first..first + 500).map(|number| 511_000 - schedule.due_at(number)).collect();
        assert_eq!((latencies[0], latencies[499]), (499_000, 0));
        assert_eq!(latencies.iter().filter(|us| **us >= 250_000).count(), 250);
        assert_eq!(schedule.waiting(511_000), 0);
    }

    #[test]
    fn producers_share_the_rate_and_take_turns() {
        let producers: Vec<_> = (0..4).map(|index| Schedule::new(0, 8_000.0, index, 4)).collect();
        let due: u64 = producers.iter().map(|schedule| schedule.waiting(999_999)).sum();
        assert_eq!(due, 8_000);
        let firsts: Vec<u64> = producers.iter().map(|schedule| schedule.due_at(0)).collect();
        assert_eq!(firsts, [0, 125, 250, 375]);
    }

    #[test]
    fn a_message_waits_from_the_very_moment_when_it_is_due() {
        let schedule = Schedule::new(7, 333_333.0, 1, 3);
        for number in [0, 1, 2, 10, 99_999, 123_456_789] {
            let at = schedule.due_at(number);
            assert!(schedule.waiting(at) > number, "message {number} at {at}");
            assert!(schedule.waiting(at - 1) <= number, "message {number} before {at}");
        }
    }
}
