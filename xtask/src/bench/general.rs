//! Objects of the general kinds: time from apply to Ready, a settled drift interval, a restart, and a bare loop that makes the
//! same requests. The requests are recorded: the operator creates objects of each kind behind proxies.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject};
use steamer_testing::Ground;

use super::counts::{Counts, Since};
use super::mix::{self, Mix};
use super::recording::{Clients, Recording, Requests, Template};
use super::replay::{AT_ONCE, Admin};
use super::rig::{Rig, all_ready_of};
use super::table::Column;

/// Drift interval of the operator during the benchmark.
const DRIFT: Duration = Duration::from_secs(60);

/// What the operator sends for one object, by kind.
type Templates = BTreeMap<&'static str, Template>;

/// Measures `objects` objects of all kinds together.
pub(super) async fn measure(servers: &Arc<Ground>, operator: &Path, objects: usize) -> Result<Column> {
    let mut column = Column::new(format!("{objects} of general kinds"));
    let mut rig = Rig::new(servers, operator, format!("general-{objects}")).await?;
    rig.argument(&format!("--drift-interval={}s", DRIFT.as_secs()));
    rig.root_scope().await?;
    let mix = Mix::new(objects);
    mix::prepare(&rig, &mix).await?;
    let templates = recorded(&mut rig).await?;
    let bare = bare_loop(&rig, &templates, objects).await?;
    rig.start().await?;
    rig.ready().await?;
    let since = Since::now(&rig.ground)?;
    let started = Instant::now();
    for kind in mix::kinds() {
        let specs = mix.numbers(kind).into_iter().map(|number| {
            let name = format!("o{number}");
            mix::spec(&rig, kind, &name).map(|spec| (name, spec))
        });
        rig.objects(kind, specs.collect::<Result<Vec<_>>>()?).await?;
    }
    let applied = started.elapsed().as_secs_f64();
    for kind in mix::kinds() {
        all_ready_of(&rig, kind, mix.existing(kind)).await?;
    }
    let ready = started.elapsed().as_secs_f64();
    let created = since.counts(&rig.ground)?;
    column.add("applied by the client", applied, " s");
    column.add("all Ready", ready, " s");
    column.add("bare loop of the same requests", bare, " s");
    column.add("throughput compared to the bare loop", bare / ready, "");
    column.add_counts(&CREATED, &created, objects);
    compared(&mut column, (&created, &templates), &mix, objects)?;
    settled(&mut rig, &mut column, objects).await?;
    Ok(column)
}

const CREATED: [(&str, &str); 4] = [
    ("created: writes to OpenBao per object", "OpenBao: writes"),
    ("created: reads from OpenBao per object", "OpenBao: other reads"),
    ("created: status writes per object", "Kubernetes: status writes"),
    ("created: other writes to Kubernetes per object", "Kubernetes: other writes"),
];

const SETTLED: [(&str, &str); 4] = [
    ("settled: writes to OpenBao in a drift interval", "OpenBao: writes"),
    ("settled: reads from OpenBao per object and drift interval", "OpenBao: other reads"),
    ("settled: status writes in a drift interval", "Kubernetes: status writes"),
    ("settled: other writes to Kubernetes in a drift interval", "Kubernetes: other writes"),
];

const RESTARTED: [(&str, &str); 3] = [
    ("restart: writes to OpenBao", "OpenBao: writes"),
    ("restart: status writes", "Kubernetes: status writes"),
    ("restart: other writes to Kubernetes", "Kubernetes: other writes"),
];

/// Requests that change something. Logins, and renewals of tokens, are none.
const WRITES: [&str; 7] = [
    "OpenBao: writes",
    "OpenBao: credentials",
    "OpenBao: certificates",
    "Kubernetes: status writes",
    "Kubernetes: Secret writes",
    "Kubernetes: Events",
    "Kubernetes: other writes",
];

/// Records what the operator sends for one object of each kind.
async fn recorded(rig: &mut Rig) -> Result<Templates> {
    let recording = Recording::start(rig).await?;
    mix::connect(rig).await?;
    let mut templates = Templates::new();
    for (index, kind) in mix::kinds().into_iter().enumerate() {
        let [first, second] = mix::recorded(index);
        let (of_first, of_second) = (mix::spec(rig, kind, &first)?, mix::spec(rig, kind, &second)?);
        let template = recording.of(rig, kind, [(first, of_first), (second, of_second)]).await?;
        println!("    recorded for one {kind}: {:?}", template.count());
        templates.insert(kind, template);
    }
    recording.stop(rig).await?;
    Ok(templates)
}

/// Makes the recorded requests for other objects, and deletes these objects. Returns the time of the requests in seconds.
async fn bare_loop(rig: &Rig, templates: &Templates, objects: usize) -> Result<f64> {
    let admin = &Admin::new(&rig.ground.openbao)?;
    let mix = &Mix::new(objects);
    let mut apis: BTreeMap<&str, Api<DynamicObject>> = BTreeMap::new();
    for kind in mix::kinds() {
        apis.insert(kind, rig.api(kind).await?);
    }
    let apis = &apis;
    let started = Instant::now();
    let sent = stream::iter(0..objects).map(|number| async move {
        let (kind, name) = (mix.kind(number), format!("bare{number}"));
        let clients = Clients { admin, kubernetes: &rig.client, kind, api: &apis[kind] };
        let spec = mix::spec(rig, kind, &name)?;
        templates[kind].repeat(&clients, (&name, spec)).await.with_context(|| format!("{kind} {name}"))
    });
    sent.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let took = started.elapsed().as_secs_f64();
    for kind in mix::kinds() {
        rig.discard(kind, "bare").await?;
    }
    Ok(took)
}

/// Adds the numbers of requests of the loop. Fails if the loop made more than the operator: then its time is not comparable.
fn compared(
    column: &mut Column,
    (created, templates): (&Counts, &Templates),
    mix: &Mix,
    objects: usize,
) -> Result<()> {
    let mut of_loop = Requests::default();
    for number in 0..objects {
        of_loop.add(templates[mix.kind(number)].count());
    }
    let Requests { writes, reads, kubernetes } = of_loop;
    let per_object = |count: usize| count as f64 / objects as f64;
    column.add("bare loop: writes to OpenBao per object", per_object(writes), "");
    column.add("bare loop: reads from OpenBao per object", per_object(reads), "");
    column.add("bare loop: writes to Kubernetes per object", per_object(kubernetes), "");
    let of_operator = Requests::of_operator(created);
    ensure!(
        writes <= of_operator.writes
            && reads <= of_operator.reads
            && kubernetes <= of_operator.kubernetes
            && writes >= objects,
        "the bare loop made {of_loop:?}, the operator {of_operator:?}"
    );
    Ok(())
}

/// Counts the requests of one drift interval, and those of a restart with the drift interval that follows it. Fails if one of
/// them is a write.
async fn settled(rig: &mut Rig, column: &mut Column, objects: usize) -> Result<()> {
    let divided = |counts: &Counts, figures: &[(&'static str, &str)], column: &mut Column| {
        for (figure, kind) in figures {
            let by = if figure.contains("per object") { objects } else { 1 };
            column.add_counts(&[(*figure, *kind)], counts, by);
        }
    };
    // The pass after the creation ends within an interval.
    tokio::time::sleep(DRIFT).await;
    let (since, used, from) = (Since::now(&rig.ground)?, rig.processor_time()?, Instant::now());
    tokio::time::sleep(DRIFT).await;
    let used = rig.processor_time()? - used;
    let counts = since.counts(&rig.ground)?;
    divided(&counts, &SETTLED, column);
    column.add("processor, settled", used / from.elapsed().as_secs_f64() * 100.0, " %");
    column.add("memory, settled", rig.memory()?, " MiB");
    no_writes(&counts, "settled")?;
    rig.stop()?;
    let since = Since::now(&rig.ground)?;
    rig.start().await?;
    rig.ready().await?;
    tokio::time::sleep(DRIFT).await;
    let counts = since.counts(&rig.ground)?;
    divided(&counts, &RESTARTED, column);
    no_writes(&counts, "after a restart")
}

/// Fails if the operator wrote, or if it did not read: then nothing was compared.
fn no_writes(counts: &Counts, when: &str) -> Result<()> {
    let written: Vec<_> = counts.iter().filter(|(kind, _)| WRITES.contains(&kind.as_str())).collect();
    ensure!(written.is_empty(), "the operator wrote {when}: {written:?}");
    ensure!(counts.contains_key("OpenBao: other reads"), "the operator read nothing {when}: {counts:?}");
    Ok(())
}
