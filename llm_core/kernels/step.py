"""The header of a step: what every operation may read about the rows in flight (int64 words; offsets in bytes).

ROWS, OUTPUTS: how many rows this step has, and how many of them want logits; OUTPUT_PAIRS: twice that. N_SEQUENCES;
STARTS: int32 first row of each sequence, and the end; POSITIONS, SEQUENCES: int32 per row. TABLES: int32 block ids,
TABLE_STRIDE bytes per sequence. OUTPUT_ROWS: int32 row numbers of the wanted logits.
"""

ROWS, OUTPUTS, OUTPUT_PAIRS, N_SEQUENCES, STARTS, POSITIONS, SEQUENCES, TABLES, TABLE_STRIDE, OUTPUT_ROWS = (
    8 * i for i in range(10)
)
N_WORDS = 16
