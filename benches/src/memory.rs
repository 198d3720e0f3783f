//! Memory and processor time of the server's processes, from /proc.

use serde::Serialize;

/// The processes that make up a server, each with its descendants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes {
    roots: Vec<u32>,
}

/// What the processes use at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// Resident memory now, in bytes.
    pub(crate) rss: u64,
    /// The highest resident memory since the start, in bytes. Of several processes the
    /// sum of their peaks, which need not have been at the same moment.
    pub(crate) peak: u64,
    /// Processor time since the start, user and system, in seconds.
    pub(crate) cpu_seconds: f64,
}

impl Processes {
    pub(crate) const fn new(roots: Vec<u32>) -> Self {
        Self { roots }
    }

    /// Adds up all processes; `None` when there are none that can be read.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let mut pids = self.roots.clone();
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            let fresh: Vec<u32> = children(pid).into_iter().filter(|c| !pids.contains(c)).collect();
            pids.extend(fresh);
            next += 1;
        }
        pids.into_iter().filter_map(usage_of).reduce(|a, b| Usage {
            rss: a.rss + b.rss,
            peak: a.peak + b.peak,
            cpu_seconds: a.cpu_seconds + b.cpu_seconds,
        })
    }
}

/// Processor time of this process alone, in seconds.
pub(crate) fn own_cpu_seconds() -> Option<f64> {
    cpu_seconds(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Any thread of a process can have started a child.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

fn usage_of(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Usage {
        rss: status_bytes(&status, "VmRSS:")?,
        peak: status_bytes(&status, "VmHWM:")?,
        cpu_seconds: cpu_seconds(&stat)?,
    })
}

/// A line such as `VmRSS:      1234 kB`.
fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib * 1024)
}

/// Fields 14 and 15, counted after the name in parentheses, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_usage_is_plausible() {
        let usage = Processes::new(vec![std::process::id()]).usage().unwrap();
        assert!(usage.rss > 100_000 && usage.peak >= usage.rss, "{usage:?}");
        assert_eq!(Processes::default().usage(), None);
    }

    #[test]
    fn lines_of_proc_are_parsed() {
        assert_eq!(status_bytes("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1024));
        assert_eq!(status_bytes("Name:\tx\n", "VmRSS:"), None);
        let stat = "7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 250 50 0 0 20 0 1 0";
        let expected = 300.0 / rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_seconds(stat), Some(expected));
    }
}
