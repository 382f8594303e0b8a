// table.inl — fills one instruction set's table.

static constexpr RowKernels kRowTable = {.rms_norm = rms_norm,
                                         .silu_mul = silu_mul,
                                         .add = add,
                                         .add_scaled = add_scaled,
                                         .rope_pairs = rope_pairs,
                                         .rope_halves = rope_halves,
                                         .to_bf16 = row_to_bf16,
                                         .from_bf16 = row_from_bf16};

static constexpr PanelKernels kPanelTable = {.interleave_f32 = interleave_f32,
                                             .interleave_bf16 = interleave_bf16,
                                             .interleave_bf16_rows = interleave_bf16_rows,
                                             .interleave_i8 = interleave_i8,
                                             .columns_f32 = columns_f32,
                                             .columns_bf16 = columns_pairs<float>,
                                             .columns_bf16_rows = columns_pairs<bf16>,
                                             .i8_panel_bytes = 4 / kI8PerLane,
                                             .bf16_tiles = false,
                                             .transpose = transpose_rows,
                                             .pack_bf16 = pack_bf16,
                                             .turn_to_bf16 = turn_to_bf16,
                                             .pack_i8 = pack_i8,
                                             .pack_f8 = pack_f8,
                                             .multiply_f32 = multiply<TileF32>,
                                             .multiply_f32_bf16 = multiply<TileF32Bf16>,
                                             .multiply_bf16 = multiply<TileBf16>,
                                             .multiply_i8 = multiply<TileI8>,
                                             .multiply_f8 = multiply<TileF8>};

static constexpr AttentionKernels kAttentionTable = {
    .softmax_block = softmax_block, .mix = mix<float>, .mix_bf16 = mix<bf16>};
