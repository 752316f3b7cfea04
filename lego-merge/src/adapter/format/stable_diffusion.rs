//! Names of the modules of Stable Diffusion's U-Nets (1.5, 2, XL) and text encoders, and their folding to underscores.
//!
//! Folding dots to underscores cannot be undone without knowing the names, so they are written down as patterns: `#` stands for a
//! number, `{a|b}` for one of several. A folded name fits at most one of them.

const UNET: &[&str] = &[
    "{down_blocks.#|up_blocks.#|mid_block}.attentions.#.{proj_in|proj_out}",
    "{down_blocks.#|up_blocks.#|mid_block}.attentions.#.transformer_blocks.#.{attn1|attn2}.{to_q|to_k|to_v|to_out.0}",
    "{down_blocks.#|up_blocks.#|mid_block}.attentions.#.transformer_blocks.#.ff.net.{0.proj|2}",
    "{down_blocks.#|up_blocks.#|mid_block}.resnets.#.{conv1|conv2|time_emb_proj|conv_shortcut}",
    "down_blocks.#.downsamplers.#.conv",
    "up_blocks.#.upsamplers.#.conv",
    "{time_embedding|add_embedding}.{linear_1|linear_2}",
    "conv_in",
    "conv_out",
];

const TEXT_ENCODER: &[&str] = &[
    "text_model.encoder.layers.#.self_attn.{q_proj|k_proj|v_proj|out_proj}",
    "text_model.encoder.layers.#.mlp.{fc1|fc2}",
    "text_model.embeddings.{token_embedding|position_embedding}",
    "text_projection",
    "encoder.block.#.layer.#.SelfAttention.{q|k|v|o}",
    "encoder.block.#.layer.#.DenseReluDense.{wi_0|wi_1|wi|wo}",
];

/// Whether a name without a component lies in a U-Net.
pub(crate) fn is_in_unet(name: &str) -> bool {
    let roots = [
        "down_blocks.",
        "up_blocks.",
        "mid_block.",
        "time_embedding.",
        "add_embedding.",
        "conv_in.",
        "conv_out.",
    ];
    roots.iter().any(|root| name.starts_with(root)) || matches!(name, "conv_in" | "conv_out")
}

/// The module of a U-Net that a folded name stands for. `to_out` stands for `to_out.0`.
pub(crate) fn unfold_unet(folded: &str) -> Option<String> {
    let with_index = folded.ends_with("_to_out").then(|| format!("{folded}_0"));
    let folded = with_index.as_deref().unwrap_or(folded);
    UNET.iter().find_map(|pattern| unfold(pattern, folded))
}

/// The module of a text encoder that a folded name stands for.
pub(crate) fn unfold_text_encoder(folded: &str) -> Option<String> {
    TEXT_ENCODER.iter().find_map(|pattern| unfold(pattern, folded))
}

/// The name of this pattern that folds to `folded`.
fn unfold(pattern: &str, folded: &str) -> Option<String> {
    let Some(first) = pattern.chars().next() else {
        return folded.is_empty().then(String::new);
    };
    match first {
        '{' => {
            let (choices, rest) = pattern[1..].split_once('}')?;
            choices.split('|').find_map(|choice| unfold(&format!("{choice}{rest}"), folded))
        }
        '#' => {
            let n_digits = folded.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, rest) = folded.split_at(n_digits);
            (1..=4)
                .contains(&n_digits)
                .then(|| unfold(&pattern[1..], rest))?
                .map(|tail| digits.to_string() + &tail)
        }
        _ => {
            let wanted = if first == '.' { '_' } else { first };
            let rest = folded.strip_prefix(wanted)?;
            unfold(&pattern[1..], rest).map(|tail| format!("{first}{tail}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of a pattern, with small numbers.
    fn names(pattern: &str) -> Vec<String> {
        if let Some((before, rest)) = pattern.split_once('{') {
            let (choices, after) = rest.split_once('}').expect("a closing brace");
            return choices.split('|').flat_map(|c| names(&format!("{before}{c}{after}"))).collect();
        }
        match pattern.split_once('#') {
            Some((before, after)) => {
                [0, 3, 10].iter().flat_map(|n| names(&format!("{before}{n}{after}"))).collect()
            }
            None => vec![pattern.into()],
        }
    }

    #[test]
    fn every_name_comes_back_from_its_folding() {
        for (patterns, unfold) in [(UNET, unfold_unet as fn(&str) -> _), (TEXT_ENCODER, unfold_text_encoder)]
        {
            for name in patterns.iter().flat_map(|p| names(p)) {
                assert_eq!(unfold(&name.replace('.', "_")), Some(name.clone()), "{name}");
            }
        }
    }

    #[test]
    fn folded_names_of_other_models_stay_folded() {
        for folded in ["input_blocks_1_1_proj_in", "double_blocks_0_img_attn_qkv", "down_blocks_x_conv", ""] {
            assert_eq!(unfold_unet(folded), None, "{folded}");
        }
    }
}
