//! What cannot be left out of loading and merging, and nothing else: fetches MCAP files over HTTP
//! one after the other, keeps each record in a file, decompresses each chunk, and sends that on.
//! No checksums, no order, no other viewers; every buffer is used again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use mcap::records::op;

/// Of a chunk, what comes before the name of its compression: two times, a size, and a checksum.
const BEFORE_COMPRESSION: usize = 8 + 8 + 8 + 4;
/// A new chunk, where every chunk is rewritten.
const REWRITTEN_BYTES: usize = 2 << 20;

#[derive(Parser)]
struct Arguments {
    /// Where the records are kept.
    #[arg(long)]
    keep: PathBuf,
    /// Who takes the messages: HOST:PORT.
    #[arg(long)]
    sink: String,
    /// Keep the messages in lz4 instead of the records as they come.
    #[arg(long)]
    rewrite: bool,
    /// What is fetched: http://HOST:PORT/PATH.
    urls: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut kept = File::create(&arguments.keep)?;
    let mut sink = TcpStream::connect(&arguments.sink)?;
    let mut codec = zstd::bulk::Decompressor::new()?;
    let (mut record, mut messages, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for url in &arguments.urls {
        let mut body = open(url)?;
        body.read_exact(&mut [0; mcap::MAGIC.len()])?;
        loop {
            let mut head = [0; 9];
            body.read_exact(&mut head)?;
            let [opcode, len @ ..] = head;
            record.resize(usize::try_from(u64::from_le_bytes(len))?, 0);
            body.read_exact(&mut record)?;
            if !arguments.rewrite {
                kept.write_all(&record)?;
            }
            match opcode {
                op::FOOTER => break,
                op::CHUNK => {}
                _ => continue,
            }
            decompress(&record, &mut codec, &mut messages)?;
            sink.write_all(&messages)?;
            if arguments.rewrite {
                waiting.extend_from_slice(&messages);
                if waiting.len() >= REWRITTEN_BYTES {
                    let mut frame = lz4::EncoderBuilder::new()
                        .level((-1_i32).cast_unsigned())
                        .block_size(lz4::BlockSize::Max256KB)
                        .block_mode(lz4::BlockMode::Independent)
                        .checksum(lz4::ContentChecksum::NoChecksum)
                        .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
                        .auto_flush(true)
                        .build(&mut kept)?;
                    frame.write_all(&waiting)?;
                    frame.finish().1?;
                    waiting.clear();
                }
            }
        }
    }
    Ok(())
}

/// The body of what a URL answers.
fn open(url: &str) -> anyhow::Result<BufReader<TcpStream>> {
    let (host, path) =
        url.trim_start_matches("http://").split_once('/').context("no path in the URL")?;
    let mut connection = TcpStream::connect(host)?;
    write!(connection, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut body = BufReader::with_capacity(256 << 10, connection);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        body.read_line(&mut line)?;
    }
    Ok(body)
}

/// The records of a chunk.
fn decompress(
    chunk: &[u8],
    codec: &mut zstd::bulk::Decompressor<'_>,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let size = chunk.get(16..24).context("a chunk without a size")?;
    let size = usize::try_from(u64::from_le_bytes(size.try_into()?))?;
    let name = chunk.get(BEFORE_COMPRESSION..).context("a chunk without a compression")?;
    let (len, name) = name.split_first_chunk().context("a chunk without a compression")?;
    let data = usize::try_from(u32::from_le_bytes(*len))? + 8;
    let data = name.get(data..).context("a chunk without records")?;
    out.clear();
    out.reserve(size);
    codec.decompress_to_buffer(data, out)?;
    Ok(())
}
