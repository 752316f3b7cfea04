//! A child process that is polled, measured when it ends (`wait4`), and dies with this one.
//!
//! Its standard input is a locked file: the lock is held as long as the process lives, also when this one is killed,
//! so no two processes ever work on one output. Its prints go straight to files: nothing is lost with a pipe.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::cache::Usage;

/// Where a process reads its lock and prints.
pub(crate) struct Streams {
    pub(crate) lock: File,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

/// Takes the lock file; none when another process holds it.
pub(crate) fn lock(path: &PathBuf) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(crate) struct Process {
    child: Child,
    started: Instant,
    ended: bool,
}

impl Process {
    pub(crate) fn start(mut command: Command, streams: Streams) -> io::Result<Process> {
        command.stdin(Stdio::from(streams.lock)).stdout(streams.stdout).stderr(streams.stderr);
        isolate(&mut command);
        Ok(Process { child: command.spawn()?, started: Instant::now(), ended: false })
    }

    /// How it ended and what it used; none while it runs.
    pub(crate) fn poll(&mut self) -> io::Result<Option<(ExitStatus, Usage)>> {
        let Some((status, cpu_secs, peak_memory_bytes)) = try_wait(&mut self.child)? else { return Ok(None) };
        self.ended = true;
        let wall_secs = self.started.elapsed().as_secs_f64();
        Ok(Some((status, Usage { wall_secs, cpu_secs, peak_memory_bytes })))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            // Nothing can be done about a process that cannot be killed: it is already gone.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Out of the terminal's group, so that Ctrl-C reaches this process alone, and killed when this one dies.
#[cfg(unix)]
fn isolate(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        // SAFETY: between fork and exec only `prctl` and `getppid` are called; both are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                if libc::getppid().cast_unsigned() != parent {
                    return Err(io::Error::from(io::ErrorKind::Interrupted));
                }
                Ok(())
            });
        }
    }
}

#[cfg(not(unix))]
fn isolate(_: &mut Command) {}

#[cfg(unix)]
fn try_wait(child: &mut Child) -> io::Result<Option<(ExitStatus, f64, u64)>> {
    use std::os::unix::process::ExitStatusExt;
    let mut status = 0;
    // SAFETY: `rusage` holds integers only, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = child.id().cast_signed();
    // SAFETY: both pointers are to live locals; `pid` is a child that nobody has waited for yet.
    match unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => {
            let secs = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
            let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
            let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit;
            Ok(Some((ExitStatus::from_raw(status), secs(usage.ru_utime) + secs(usage.ru_stime), peak)))
        }
    }
}

/// Elsewhere the time and memory of a child are not known and stand as 0.
#[cfg(not(unix))]
fn try_wait(child: &mut Child) -> io::Result<Option<(ExitStatus, f64, u64)>> {
    Ok(child.try_wait()?.map(|status| (status, 0.0, 0)))
}
