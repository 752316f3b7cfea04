//! AVIF by rav1e: one key frame in the container of avif-serialize, and the encoder's reconstruction of it.
//!
//! Samples are full-range BT.601 of 10 bits, 4:4:4, as other AVIF encoders in Rust take them. AV1 defines a decoder to the bit, so that the
//! frame which the encoder keeps for later prediction is the frame that every decoder shows.

use avif_serialize::{Aviffy, constants};
use rav1e::prelude::{
    ChromaSampling, ColorDescription, ColorPrimaries, Config, Context, EncoderConfig, EncoderStatus, Frame,
    MatrixCoefficients, PixelRange, SceneDetectionSpeed, TransferCharacteristics, Tune,
};

use super::{Encoded, check_quality, refused};
use crate::picture::Picture;
use crate::{Error, Result};

const BITS: u8 = 10;
/// The greatest sample.
const MOST: f32 = ((1u16 << BITS) - 1) as f32;
/// What a difference of colours is stored relative to.
const MIDDLE: f32 = (1u16 << (BITS - 1)) as f32;
/// The weight of red in the luminance (BT.601).
const RED: f32 = 0.299;
/// The weight of blue.
const BLUE: f32 = 0.114;

/// The version of rav1e.
pub(super) fn version() -> String {
    rav1e::version::short()
}

pub(super) fn encode(picture: &Picture, quality: u8, speed: u8) -> Result<Encoded> {
    check_quality(quality, 0)?;
    if speed > 10 {
        return Err(Error::setting("speed", "0 to 10", speed));
    }
    let config = Config::new().with_encoder_config(settings(picture, quality, speed));
    let mut context: Context<u16> =
        config.new_context().map_err(|e| refused("a picture that AV1 takes", e))?;
    let mut frame = context.new_frame();
    fill(&mut frame, picture);
    let failed = |e: EncoderStatus| refused("a picture that rav1e encodes", e);
    context.send_frame(frame).map_err(failed)?;
    context.flush();
    let (mut payload, mut shown) = (vec![], None);
    loop {
        match context.receive_packet() {
            Ok(packet) => {
                payload.extend_from_slice(&packet.data);
                shown = packet.rec;
            }
            Err(EncoderStatus::Encoded) => {}
            Err(EncoderStatus::LimitReached) => break,
            Err(e) => return Err(failed(e)),
        }
    }
    let shown = shown.ok_or_else(|| refused("a picture that rav1e shows again", "no frame"))?;
    // `new_context` takes sides of 16 bits.
    let [width, height] = [picture.width() as u32, picture.height() as u32];
    let file = Aviffy::new()
        .set_matrix_coefficients(constants::MatrixCoefficients::Bt601)
        .to_vec(&payload, None, width, height, BITS);
    Ok(Encoded { file, shown: Some(picture_of(&shown, picture.width(), picture.height())?) })
}

/// One still picture of constant quality.
fn settings(picture: &Picture, quality: u8, speed: u8) -> EncoderConfig {
    let mut preset = EncoderConfig::with_speed_preset(speed);
    // No frames follow.
    preset.speed_settings.multiref = false;
    preset.speed_settings.rdo_lookahead_frames = 1;
    preset.speed_settings.scene_detection_mode = SceneDetectionSpeed::None;
    EncoderConfig {
        width: picture.width(),
        height: picture.height(),
        bit_depth: BITS.into(),
        chroma_sampling: ChromaSampling::Cs444,
        pixel_range: PixelRange::Full,
        color_description: Some(ColorDescription {
            color_primaries: ColorPrimaries::BT709,
            transfer_characteristics: TransferCharacteristics::SRGB,
            matrix_coefficients: MatrixCoefficients::BT601,
        }),
        still_picture: true,
        quantizer: (100 - usize::from(quality)) * 255 / 100,
        tune: Tune::Psnr,
        ..preset
    }
}

/// The samples of an RGB picture.
fn fill(frame: &mut Frame<u16>, picture: &Picture) {
    let scale = MOST / 255.0;
    let near = |v: f32| v.round().clamp(0.0, MOST) as u16;
    let samples = |pixel: &[u8]| {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(|v| f32::from(v) * scale);
        let y = RED * r + (1.0 - RED - BLUE) * g + BLUE * b;
        let difference = |v: f32, weight: f32| (v - y) / (2.0 * (1.0 - weight)) + MIDDLE;
        [y, difference(b, BLUE), difference(r, RED)].map(near)
    };
    let pixels: Vec<[u16; 3]> = picture.rgb().chunks_exact(3).map(samples).collect();
    for (channel, plane) in frame.planes.iter_mut().enumerate() {
        let bytes: Vec<u8> = pixels.iter().flat_map(|sample| sample[channel].to_le_bytes()).collect();
        plane.copy_from_raw_u8(&bytes, 2 * picture.width(), 2);
    }
}

/// RGB of a frame.
fn picture_of(frame: &Frame<u16>, width: usize, height: usize) -> Result<Picture> {
    let mut rgb = Vec::with_capacity(3 * width * height);
    let near = |v: f32| (v * 255.0 / MOST).round().clamp(0.0, 255.0) as u8;
    let [y, blue, red] = &frame.planes;
    for ((y, blue), red) in y.rows_iter().zip(blue.rows_iter()).zip(red.rows_iter()).take(height) {
        for ((&y, &blue), &red) in y.iter().zip(blue).zip(red).take(width) {
            let y = f32::from(y);
            let r = y + 2.0 * (1.0 - RED) * (f32::from(red) - MIDDLE);
            let b = y + 2.0 * (1.0 - BLUE) * (f32::from(blue) - MIDDLE);
            let g = (y - RED * r - BLUE * b) / (1.0 - RED - BLUE);
            rgb.extend([r, g, b].map(near));
        }
    }
    Picture::new(width, height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_frame_holds_is_the_picture_within_a_step() {
        let rgb: Vec<u8> = (0..17 * 9 * 3).map(|i| (i * 71 % 256) as u8).collect();
        let picture = Picture::new(17, 9, rgb).expect("a picture");
        let config = Config::new().with_encoder_config(settings(&picture, 50, 10));
        let context: Context<u16> = config.new_context().expect("settings");
        let mut frame = context.new_frame();
        fill(&mut frame, &picture);
        let back = picture_of(&frame, 17, 9).expect("a picture");
        let off = back.rgb().iter().zip(picture.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "10 bits hold 8: off by {off:?}");
    }
}
