//! JPEG 2000 by OpenJPEG: one tile and one layer that aims at a PSNR, by the 9/7 wavelet and the irreversible colour transform, in a JP2 file.
//!
//! The library's C allocates by itself, and touches no memory of Rust's allocator but what is handed to it.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use openjpeg_sys as opj;

use super::{check_quality, refused};
use crate::Result;
use crate::picture::Picture;

/// Bytes that a stream buffers.
const BUFFER: usize = 1 << 20;
/// Resolutions of a picture that is large enough, as the library's default.
const RESOLUTIONS: u32 = 6;

/// The version of OpenJPEG.
pub(super) fn version() -> String {
    // SAFETY: takes nothing and gives a constant string.
    unsafe { CStr::from_ptr(opj::opj_version()) }.to_string_lossy().into_owned()
}

/// A file in memory, and where it is read or written next.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    at: usize,
}

/// A codec of the library.
struct Codec(*mut opj::opj_codec_t);

/// A picture of the library.
struct Image(*mut opj::opj_image_t);

/// A stream of the library over a [`Memory`] that lives longer.
struct Stream(*mut opj::opj_stream_t);

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: it was created, and is destroyed once.
        unsafe { opj::opj_destroy_codec(self.0) };
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: it was created, and is destroyed once; the library takes null too.
        unsafe { opj::opj_image_destroy(self.0) };
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: it was created, and is destroyed once, before its memory.
        unsafe { opj::opj_stream_destroy(self.0) };
    }
}

/// What a stream was given as its user.
///
/// # Safety
/// `user` points to a [`Memory`] that nothing else refers to meanwhile.
unsafe fn memory<'a>(user: *mut c_void) -> &'a mut Memory {
    // SAFETY: the caller's promise.
    unsafe { &mut *user.cast() }
}

unsafe extern "C" fn read(to: *mut c_void, n: usize, user: *mut c_void) -> usize {
    // SAFETY: the library hands over what the stream was given.
    let memory = unsafe { memory(user) };
    let rest = memory.bytes.get(memory.at..).unwrap_or_default();
    let n = n.min(rest.len());
    if n == 0 {
        // The end, in the library's words.
        return usize::MAX;
    }
    // SAFETY: the library has room for as many bytes as it asks for.
    unsafe { ptr::copy_nonoverlapping(rest.as_ptr(), to.cast(), n) };
    memory.at += n;
    n
}

unsafe extern "C" fn write(from: *mut c_void, n: usize, user: *mut c_void) -> usize {
    // SAFETY: as above.
    let memory = unsafe { memory(user) };
    // SAFETY: the library hands over so many bytes.
    let given = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), n) };
    let end = memory.at + n;
    if memory.bytes.len() < end {
        memory.bytes.resize(end, 0);
    }
    memory.bytes[memory.at..end].copy_from_slice(given);
    memory.at = end;
    n
}

unsafe extern "C" fn skip(n: i64, user: *mut c_void) -> i64 {
    // SAFETY: as above.
    let memory = unsafe { memory(user) };
    match usize::try_from(n).ok().and_then(|n| memory.at.checked_add(n)) {
        Some(at) => {
            memory.at = at;
            n
        }
        None => -1,
    }
}

unsafe extern "C" fn seek(at: i64, user: *mut c_void) -> opj::OPJ_BOOL {
    // SAFETY: as above.
    let memory = unsafe { memory(user) };
    match usize::try_from(at) {
        Ok(at) => {
            memory.at = at;
            1
        }
        Err(_) => 0,
    }
}

impl Stream {
    /// A stream that reads or writes; `memory` has to outlive it, and nothing else may refer to it meanwhile.
    fn new(memory: *mut Memory, reads: bool, n_bytes: usize) -> Option<Self> {
        // SAFETY: a plain allocation.
        let stream = unsafe { opj::opj_stream_create(BUFFER, reads.into()) };
        if stream.is_null() {
            return None;
        }
        // SAFETY: the stream was created; the callbacks take what it is given here as their user, which is not freed by the library.
        unsafe {
            opj::opj_stream_set_user_data(stream, memory.cast(), None);
            opj::opj_stream_set_user_data_length(stream, n_bytes as u64);
            opj::opj_stream_set_read_function(stream, Some(read));
            opj::opj_stream_set_write_function(stream, Some(write));
            opj::opj_stream_set_skip_function(stream, Some(skip));
            opj::opj_stream_set_seek_function(stream, Some(seek));
        }
        Some(Self(stream))
    }
}

/// A file that aims at a PSNR of `quality` dB.
pub(super) fn encode(picture: &Picture, quality: u8) -> Result<Vec<u8>> {
    check_quality(quality, 1)?;
    let [Ok(width), Ok(height)] = [picture.width(), picture.height()].map(u32::try_from) else {
        return Err(refused("sides of 32 bits", picture.width().max(picture.height())));
    };
    written(picture.rgb(), width, height, f32::from(quality))
        .ok_or_else(|| refused("a picture that OpenJPEG encodes", format!("{width}×{height} pixels")))
}

fn written(rgb: &[u8], width: u32, height: u32, quality: f32) -> Option<Vec<u8>> {
    let image = image_of(rgb, width, height)?;
    let mut parameters = MaybeUninit::<opj::opj_cparameters_t>::zeroed();
    // SAFETY: the library fills all of the structure.
    let mut parameters = unsafe {
        opj::opj_set_default_encoder_parameters(parameters.as_mut_ptr());
        parameters.assume_init()
    };
    parameters.tcp_numlayers = 1;
    parameters.cp_disto_alloc = 0;
    parameters.cp_fixed_quality = 1;
    parameters.tcp_distoratio[0] = quality;
    parameters.irreversible = 1;
    parameters.tcp_mct = 1;
    parameters.numresolution = RESOLUTIONS.min(width.min(height).ilog2() + 1) as i32;
    let mut memory = Memory::default();
    let is_written = {
        let stream = Stream::new(&raw mut memory, false, 0)?;
        // SAFETY: a plain allocation.
        let codec = unsafe { opj::opj_create_compress(opj::CODEC_FORMAT::OPJ_CODEC_JP2) };
        if codec.is_null() {
            return None;
        }
        let codec = Codec(codec);
        // SAFETY: codec, picture and stream were created, and live until the calls are over.
        unsafe {
            opj::opj_setup_encoder(codec.0, &raw mut parameters, image.0) != 0
                && opj::opj_start_compress(codec.0, image.0, stream.0) != 0
                && opj::opj_encode(codec.0, stream.0) != 0
                && opj::opj_end_compress(codec.0, stream.0) != 0
        }
    };
    is_written.then_some(memory.bytes)
}

/// The library's form of interleaved samples.
fn image_of(rgb: &[u8], width: u32, height: u32) -> Option<Image> {
    let plane = opj::opj_image_cmptparm_t {
        dx: 1,
        dy: 1,
        w: width,
        h: height,
        x0: 0,
        y0: 0,
        prec: 8,
        bpp: 8,
        sgnd: 0,
    };
    let mut planes = [plane; 3];
    // SAFETY: three descriptions of planes are given.
    let image = unsafe { opj::opj_image_create(3, planes.as_mut_ptr(), opj::COLOR_SPACE::OPJ_CLRSPC_SRGB) };
    if image.is_null() {
        return None;
    }
    let image = Image(image);
    let n = rgb.len() / 3;
    // SAFETY: the picture was created with three planes of width · height samples each, which are `n`.
    unsafe {
        (*image.0).x1 = width;
        (*image.0).y1 = height;
        for channel in 0..3 {
            let data = (*(*image.0).comps.add(channel)).data;
            if data.is_null() {
                return None;
            }
            let samples = std::slice::from_raw_parts_mut(data, n);
            samples.iter_mut().zip(rgb.chunks_exact(3)).for_each(|(to, pixel)| *to = pixel[channel].into());
        }
    }
    Some(image)
}

/// The picture that a file shows.
pub(super) fn decode(file: &[u8]) -> Result<Picture> {
    let (width, height, rgb) =
        read_back(file).ok_or_else(|| refused("a file that OpenJPEG decodes", "another"))?;
    Picture::new(width, height, rgb)
}

fn read_back(file: &[u8]) -> Option<(usize, usize, Vec<u8>)> {
    let mut memory = Memory { bytes: file.to_vec(), at: 0 };
    let stream = Stream::new(&raw mut memory, true, file.len())?;
    // SAFETY: a plain allocation.
    let codec = unsafe { opj::opj_create_decompress(opj::CODEC_FORMAT::OPJ_CODEC_JP2) };
    if codec.is_null() {
        return None;
    }
    let codec = Codec(codec);
    let mut parameters = MaybeUninit::<opj::opj_dparameters_t>::zeroed();
    let mut image = Image(ptr::null_mut());
    // SAFETY: the library fills all of the parameters; codec and stream were created, and live until the calls are over; it makes the picture.
    let is_read = unsafe {
        opj::opj_set_default_decoder_parameters(parameters.as_mut_ptr());
        opj::opj_setup_decoder(codec.0, parameters.as_mut_ptr()) != 0
            && opj::opj_read_header(stream.0, codec.0, &raw mut image.0) != 0
            && opj::opj_decode(codec.0, stream.0, image.0) != 0
    };
    if !is_read || image.0.is_null() {
        return None;
    }
    // SAFETY: the picture was made, with as many planes as it says.
    let planes = unsafe { std::slice::from_raw_parts((*image.0).comps, (*image.0).numcomps as usize) };
    let [r, g, b] = planes else { return None };
    let (width, height) = (r.w as usize, r.h as usize);
    let is_alike = |plane: &opj::opj_image_comp| {
        (plane.w, plane.h, plane.prec, plane.sgnd) == (r.w, r.h, 8, 0) && !plane.data.is_null()
    };
    if ![r, g, b].into_iter().all(is_alike) {
        return None;
    }
    // SAFETY: a plane holds width · height samples.
    let [r, g, b] = [r, g, b].map(|plane| unsafe { std::slice::from_raw_parts(plane.data, width * height) });
    let byte = |v: i32| v.clamp(0, 255) as u8;
    let rgb = r.iter().zip(g).zip(b).flat_map(|((&r, &g), &b)| [r, g, b].map(byte)).collect();
    Some((width, height, rgb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused() {
        let rgb: Vec<u8> = (0..33 * 17 * 3).map(|i| (i * 7 % 256) as u8).collect();
        let picture = Picture::new(33, 17, rgb).expect("a picture");
        let file = encode(&picture, 40).expect("a file");
        decode(&file).expect("a picture");
        for n in [0, 1, 12, 60] {
            grouping_core::testing::assert_refused(decode(&file[..n]), "a file that OpenJPEG decodes");
        }
    }
}
