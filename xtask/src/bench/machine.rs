use anyhow::Result;
use steamer_testing::tools;

/// Returns the machine and the versions, in one line.
pub(super) fn description(profile: &str) -> Result<String> {
    let processor = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let total: u64 = total.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    Ok(format!(
        "{} processors ({}), {} GiB; Kubernetes {}, OpenBao {} on PostgreSQL, all on this machine; operator built as {profile}",
        std::thread::available_parallelism()?,
        model.trim_start_matches([' ', '\t', ':']),
        total / 1024 / 1024,
        tools::KUBERNETES,
        tools::OPENBAO,
    ))
}
