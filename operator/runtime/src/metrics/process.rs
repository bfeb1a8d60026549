//! Metrics of the process, by the names that all Prometheus clients use.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::registration::Registration;

/// Ticks of the CPU time in `/proc/self/stat` per second. Linux reports this number to programs on every machine.
const TICKS: f64 = 100.0;

/// Memory, CPU time and open files. Each keeps its last value where `/proc` does not exist.
pub(super) struct Process {
    cpu: Counter<f64, AtomicU64>,
    memory: Gauge,
    files: Gauge,
}

impl Process {
    pub(super) fn register(to: &mut Registration) -> Self {
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        started.set(now.as_secs_f64());
        let help = "Start of the process, in seconds since the epoch";
        to.add("process_start_time_seconds", &[], help, started);
        Self {
            cpu: to.add("process_cpu_seconds", &[], "CPU time of the process in seconds", Counter::default()),
            memory: to.add(
                "process_resident_memory_bytes",
                &[],
                "Resident memory of the process in bytes",
                Gauge::default(),
            ),
            files: to.add(
                "process_open_fds",
                &[],
                "Open files and connections of the process",
                Gauge::default(),
            ),
        }
    }

    /// Reads the current values.
    pub(super) fn measure(&self) {
        if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu) {
            self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
        if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(memory) {
            self.memory.set(bytes);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
    }
}

/// CPU time in seconds: the fields `utime` and `stime`. The name of the program before them can contain spaces.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11);
    let mut next = || ticks.next()?.parse::<u32>().ok();
    Some((f64::from(next()?) + f64::from(next()?)) / TICKS)
}

/// Resident memory in bytes.
fn memory(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<i64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_the_files_of_linux() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(memory("VmPeak:\t 9 kB\nVmRSS:\t    12 kB\n"), Some(12_288));
        assert_eq!((cpu("7 (a) R"), memory("")), (None, None));
    }
}
