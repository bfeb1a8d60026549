//! Benchmark: counts and times what Steamer costs on real servers, as a table and as JSON. Times are printed, and
//! never fail. Counts that the documentation states fail the benchmark if they differ.

mod counts;
mod general;
mod instant;
mod kinds;
mod machine;
mod mix;
mod projects;
mod recording;
mod replay;
mod rig;
mod secrets;
mod table;
mod workflows;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use steamer_testing::{Ground, cache, image};

use table::Table;

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Numbers of BaoStaticSecrets; each number is measured with one path per object and with 10 paths. 0: none.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1_000, 5_000])]
    secrets: Vec<usize>,
    /// Numbers of SecretsProjects with 5 PipelinePolicies each. 0: none.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 500])]
    projects: Vec<usize>,
    /// Numbers of objects of each of the kinds BaoDynamicSecret, BaoPKISecret, BaoStaticSecret with a template, and
    /// BaoPushSecret. 0: none.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 500])]
    kinds: Vec<usize>,
    /// Number of foreign Secrets, created with the largest number of BaoStaticSecrets on 10 paths.
    #[arg(long, default_value_t = 20_000)]
    foreign: usize,
    /// Numbers of BaoStaticSecrets with a relay beside OpenBao. 0: none.
    #[arg(long, value_delimiter = ',', default_values_t = [5_000])]
    instant: Vec<usize>,
    /// Numbers of objects of all general kinds together, such as BaoPolicy and TransitKey. 0: none.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000])]
    general: Vec<usize>,
    /// Numbers of policies that are written with and without workflows of OpenBao: multiples of 50. 0: none.
    #[arg(long, value_delimiter = ',', default_values_t = [800])]
    workflows: Vec<usize>,
    /// Cargo profile of the operator.
    #[arg(long, default_value = "release")]
    profile: String,
}

pub(crate) async fn bench(options: Options) -> Result<()> {
    let operator = image::built("steamer", "steamer", &options.profile)?;
    image::built("steamer-cli", "kubectl-steamer", &options.profile)?;
    let servers = Ground::bare();
    let mut table = Table::new(machine::description(&options.profile)?);
    let largest = options.secrets.iter().copied().max().unwrap_or_default();
    for objects in options.secrets.iter().copied().filter(|objects| *objects > 0) {
        for paths in [objects, 10] {
            let foreign = if objects == largest && paths == 10 { options.foreign } else { 0 };
            let what = secrets::What { objects, paths, foreign };
            table.add(secrets::measure(&servers, &operator, what).await?);
        }
    }
    for objects in options.kinds.iter().copied().filter(|objects| *objects > 0) {
        table.add(kinds::measure(&servers, &operator, objects).await?);
    }
    for projects in options.projects.iter().copied().filter(|projects| *projects > 0) {
        table.add(projects::measure(&servers, &operator, projects).await?);
    }
    for objects in options.instant.iter().copied().filter(|objects| *objects > 0) {
        table.add(instant::measure(&servers, &operator, objects).await?);
    }
    for objects in options.general.iter().copied().filter(|objects| *objects > 0) {
        table.add(general::measure(&servers, &operator, objects).await?);
    }
    for policies in options.workflows.iter().copied().filter(|policies| *policies > 0) {
        table.add(workflows::measure(&servers, policies).await?);
    }
    table.print();
    let file: PathBuf = cache::checkout().join("target/bench.json");
    std::fs::write(&file, serde_json::to_string_pretty(&json!(table))?)?;
    println!("\nThe same as JSON: {}", file.display());
    Ok(())
}
