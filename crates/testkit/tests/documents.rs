//! The documents: every link leads somewhere, as the repository shows them, and each is a chapter of
//! the site. How the site shows them, `docs/site/check.py` looks at when it is built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository is there")
}

/// Every Markdown document below this folder that is ours.
fn documents(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What is built or installed has documents of its own.
        let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
        if path.is_dir() && is_ours {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.insert(path);
        }
    }
}

/// A document without its code: what is in blocks and in ticks.
fn prose(text: &str) -> String {
    let mut fence: Option<String> = None;
    let mut prose = String::with_capacity(text.len());
    for line in text.lines() {
        let mark: String = line.trim_start().chars().take_while(|c| "`~".contains(*c)).collect();
        match &fence {
            Some(open) if mark.starts_with(open.as_str()) && line.trim() == mark => fence = None,
            Some(_) => {}
            None if mark.len() >= 3 => fence = Some(mark),
            None => {
                let pieces = line.split('`').enumerate();
                prose.extend(pieces.filter(|(at, _)| at % 2 == 0).map(|(_, piece)| piece));
                prose.push('\n');
            }
        }
    }
    prose
}

/// The targets of inline links.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|target| target.split_whitespace().next().unwrap_or_default().to_owned()).collect()
}

/// What headings are called as anchors, by GitHub's rules; mdBook's are the same for ours.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let Some(heading) = line.trim_start_matches('#').strip_prefix(' ') else { continue };
        if is_code || !line.starts_with('#') {
            continue;
        }
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let name = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let before = times.entry(name.clone()).or_default();
        found.insert(if *before == 0 { name } else { format!("{name}-{before}") });
        *before += 1;
    }
    found
}

/// `folder/target`, without `.` and `..`; none if it leads out of the repository.
fn joined(folder: &Path, target: &str, root: &Path) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    path.starts_with(root).then_some(path)
}

fn is_elsewhere(target: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let root = root();
    let mut all = BTreeSet::new();
    documents(&root, &mut all);
    let texts: BTreeMap<&PathBuf, String> =
        all.iter().map(|path| (path, fs::read_to_string(path).expect("it can be read"))).collect();
    let mut wrong = Vec::new();
    for (document, text) in &texts {
        let name = document.strip_prefix(&root).unwrap_or(document).display();
        for link in links(text).into_iter().filter(|link| !is_elsewhere(link)) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = document.parent().unwrap_or(&root);
            let there = match path {
                "" => Some((*document).clone()),
                path => joined(folder, path, &root),
            };
            let Some(there) = there.filter(|there| there.exists()) else {
                wrong.push(format!("{name}: {link} leads nowhere"));
                continue;
            };
            let is_there = texts.get(&there).is_some_and(|text| anchors(text).contains(anchor));
            if !anchor.is_empty() && !is_there {
                wrong.push(format!("{name}: {link} has no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_document_is_a_chapter_of_the_site() {
    let docs = root().join("docs");
    let mut all = BTreeSet::new();
    documents(&docs, &mut all);
    let summary = docs.join("SUMMARY.md");
    assert!(all.remove(&summary), "docs/SUMMARY.md is missing");
    let text = fs::read_to_string(&summary).expect("it can be read");
    let chapters: BTreeSet<PathBuf> = links(&text).iter().map(|link| docs.join(link)).collect();
    let missing: Vec<_> = all.difference(&chapters).collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:#?}");
}

#[test]
fn anchors_are_those_of_github() {
    let text =
        "# Two `words`: one, (two)?\n## Same\n```\n# no heading\n```\n## Same\n### it's-a_b\n";
    let expected = ["two-words-one-two", "same", "same-1", "its-a_b"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
    assert_eq!(links("see [a](b.md#c) and `[x](y)`\n```\n[d](e)\n```\n"), ["b.md#c"]);
}
