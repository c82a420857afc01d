//! Cores of the node with a cast of ours: the very loop, links and files that the node runs on, under shards that measure.
//!
//! An executor of the node ends with its process, so does one of these; without work it sleeps.

use caesure::disk::{Access, Disk, Source};
use caesure::executor;
use caesure::links::{self, Ends, Links};
use caesure::net::Net;
use caesure::pump::{Core, News, Parts};
use shards::metrics::Pages;
use shards::{Input, Plan, Shard, ShardId, plan};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Makes a shard on the thread that will step it.
pub type Make = Box<dyn FnOnce() -> Box<dyn Shard> + Send>;

/// How long executors may take to stand.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all cores know.
#[derive(Clone)]
struct Scene {
    plan: Plan,
    pages: Pages,
    blocks: PathBuf,
    begun: Instant,
    news: mpsc::Sender<News>,
    tick: Duration,
}

/// Starts so many pinned executors, and the desk, over this blocks.bin, each with those of the cast whose home it is; they all
/// hear a Tick this often. Comes back when all run. Kernel trouble later ends the process: nothing could be measured any more.
pub fn start(cores: usize, blocks: &Path, tick: Duration, cast: Vec<(ShardId, Make)>) -> io::Result<()> {
    let (news, heard) = mpsc::channel();
    let plan = plan(cores);
    let mut casts: Vec<Vec<(ShardId, Make)>> = plan.executors.iter().map(|_| Vec::new()).collect();
    cast.into_iter().for_each(|(shard, make)| casts[plan.home(shard)].push((shard, make)));
    let ends = links::wire(&plan).into_iter().zip(casts).enumerate();
    let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|cpu| cpu.id).collect();
    let pages = Pages::new(plan.executors.len());
    let scene = Scene { pages, blocks: blocks.into(), begun: Instant::now(), plan, news, tick };
    for (core, (ends, cast)) in ends {
        let writes = cast.iter().any(|(shard, _)| *shard == ShardId::Store);
        let scene = scene.clone();
        let cpu = (core < cores).then(|| cpus[core]);
        executor::builder(core, cpu, cpu.is_some(), writes)
            .spawn(move || run(core, scene, ends, cast, writes))
            .map_err(|why| io::Error::other(why.to_string()))?;
    }
    for _ in 0..=cores {
        match heard.recv_timeout(PATIENCE) {
            Ok(News::Ready) => {}
            other => return Err(io::Error::other(format!("an executor does not run: {other:?}"))),
        }
    }
    std::thread::spawn(move || {
        if let Ok(news) = heard.recv() {
            eprintln!("caesure-numbers: a core stopped: {news:?}");
            std::process::exit(1);
        }
    });
    Ok(())
}

async fn run(index: usize, scene: Scene, ends: Ends, cast: Vec<(ShardId, Make)>, writes: bool) {
    let Scene { plan, pages, blocks, begun, news, tick } = scene;
    let folder = blocks.parent().expect("a file lies in a folder").to_owned();
    let sources = vec![Source { path: blocks, key: [0; 8] }];
    let disk = match Disk::open(sources, folder, if writes { Access::Append } else { Access::Read }).await {
        Ok(disk) => disk,
        Err(why) => return drop(news.send(News::Broken(index, why))),
    };
    let (links, receivers) = Links::connect(ends).await;
    let shards: BTreeMap<_, _> = cast.into_iter().map(|(shard, make)| (shard, make())).collect();
    let names: Vec<ShardId> = shards.keys().copied().collect();
    let core = Core::new(Parts {
        index,
        plan,
        shards,
        pages,
        seed: 1,
        links,
        net: Net::default(),
        disk,
        news,
        start: begun,
        first: Vec::new(),
        question: None,
    });
    links::receive(&core, receivers);
    let ticking = core.clone();
    glommio::spawn_local(async move {
        loop {
            glommio::timer::sleep(tick).await;
            names.iter().for_each(|shard| ticking.input(*shard, Input::Tick));
        }
    })
    .detach();
    core.run().await;
}
