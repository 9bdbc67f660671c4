"""Members of a group: two that share a topic, and one that goes on where they stopped."""

import threading
import time

from records import PARTITIONS, RECORDS

LAST = RECORDS // PARTITIONS - 1
DEADLINE_SECONDS = 60


class Member(threading.Thread):
    """Reads in a thread of its own. `open_member` makes what it reads with: `poll` gives partitions and offsets,
    `assignment` the partitions that are its own, `commit` takes partitions with the offset behind the last one."""

    def __init__(self, open_member):
        super().__init__(daemon=True)
        self.open_member = open_member
        self.assigned = set()
        self.last = {}
        self.ends = threading.Event()
        self.failure = None

    def run(self):
        try:
            member = self.open_member()
            while not self.ends.is_set():
                for partition, offset in member.poll():
                    self.last[partition] = offset
                self.assigned = member.assignment()
            member.commit({partition: self.last[partition] + 1 for partition in self.assigned})
            member.close()
        except Exception as failure:
            self.failure = failure

    def has_read(self, partitions):
        return self.assigned == partitions and all(self.last.get(one) == LAST for one in partitions)


def wait_until(holds, members, what):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        for member in members:
            if member.failure:
                raise member.failure
        seen = [(member.assigned, member.last) for member in members]
        assert time.monotonic() < deadline, f"not in time: {what}: {seen}"
        time.sleep(0.05)


def share(open_member, committed):
    """`committed` tells the committed offset of each partition."""
    both = [Member(open_member), Member(open_member)]
    for member in both:
        member.start()
    halves = [({0}, {1}), ({1}, {0})]
    each = lambda: any(all(map(Member.has_read, both, half)) for half in halves)
    wait_until(each, both, "each member has read a partition of its own")
    for member in both:
        member.ends.set()
    for member in both:
        member.join(DEADLINE_SECONDS)
        if member.failure:
            raise member.failure
    expected = dict.fromkeys(range(PARTITIONS), LAST + 1)
    assert committed() == expected, committed()
    third = Member(open_member)
    third.start()
    wait_until(lambda: third.assigned == {0, 1}, [third], "the third member has both partitions")
    assert not third.last, f"read again: {third.last}"
