"""What stands where in the plan of a convolution: the places of its integers, for those who write and who read them.

A plan is one array: a header, the records of the images that are read, a record for each phase, tables. Lengths and
strides are counted in numbers, not in bytes.
"""

# The header.
(
    SAMPLES,
    BLOCKS,
    BLOCK_SAMPLES,  # images in a block
    BANDS,  # blocks in an image, where an image is cut
    BAND_ROWS,  # phase rows in a block
    PHASES,
    GROUPS,
    OUTPUTS,  # output channels in a group
    PADDED,  # and how many there are in whole vectors
    STORED,  # and how many are written: all whole vectors where y is scratch memory
    OUT_SAMPLE,  # from one image of what is written to the next
    OUT_BAND,  # from one band to the next
    OUTPUT_STRIDE,  # of w, from one output channel to the next
    GROUP_STRIDE,  # of w, from one group to the next
    HAS_BIAS,
    TASKS,
    SCRATCH,  # in `work`: where the scratch memory of worker 0 begins
    SCRATCH_LENGTH,
    # Of the forward pass with pooling alone
    POOL_ROWS,  # rows of a window, 0: there is no pooling
    POOL_COLUMNS,
    Y_SCRATCH,  # in a worker's scratch: where the block of y begins that is pooled
    POOL,  # the address of the kernel that pools it
    POOLED_ROW,  # from one row of the pooled image to the next
    # Of the weight gradient alone
    G_SCRATCH,  # in a worker's scratch: where the copy of g begins
    PARTIALS,  # sums over a part of the samples each
    RANGES,  # parts of the taps, or of the channels
    PARTIAL_LENGTH,
    MOST_WINNERS,  # by winners alone: the most pixels of a block that win in a channel
    # Of transformed tiles alone (`conv_winograd.py`)
    V_SCRATCH,  # in a worker's scratch: where the transformed tiles of x begin, sixteen matrices
    V_PITCH,  # from one of them to the next; of images with one channel: from one row of tiles to the next
    # Of images with one channel alone (`conv_gray.py`)
    V_LINES,  # how many rows of tiles are transformed at a time
    READ,  # the addresses of the kernel that reads a block,
    TRANSFORM,  # of the one that transforms rows of tiles,
    FINISH,  # and of the one that uses them
    M_SCRATCH,  # the same for those of y, or of g
    M_PITCH,
    IN_SAMPLE,  # where x is read: from one image to the next, one row, one pixel
    IN_ROW,
    IN_PIXEL,
    TO_SAMPLE,  # the same where y is written, or g read
    TO_ROW,
    TO_PIXEL,
    W_START,  # where in w the number at kernel row 0, column 0 of the first channels is
    W_INNER,  # from one channel that is summed over to the next
    W_ROW,  # from one kernel row to the next
    W_COLUMN,
    SLICES,  # the addresses of the inner loops for slices of 1, 2 and 4 vectors, in places SLICES + 1, + 2, + 4
) = range(47)

SOURCE = SLICES + 5  # here begins the record of the image that is read through `at`

# The record of an image that is read block by block; the weight gradient has a second one, of g, after the first.
(
    DIRECT,  # 1: it needs no padding and is read where it is; 0: blocks of it are made in scratch memory
    MAKER,  # the address of the kernel that does that
    IMAGES,
    IMAGES_IN_BLOCK,
    BANDS_IN_IMAGE,
    ROWS_IN_BAND,
    SAMPLE_STRIDE,
    ROW_STRIDE,
    PIXEL_STRIDE,
    CHANNEL_STRIDE,
    HEIGHT,
    WIDTH,
    TOP,  # the row that phase row 0 begins with; negative where there is padding
    LEFT,
    ROW_STEP,  # rows from one phase row to the next
    COPY_ROWS,  # rows, and columns, of the copy of one image of a block
    COPY_COLUMNS,
    IMAGE_GROUPS,  # groups of channels that are copied separately
    DEPTH,  # channels in such a group
    DEPTH_COPY,  # and how many there are in the copy, where more may be wanted to fill a vector
    GROUP_STEP,  # where it is read: from one group of the convolution to the next
    WINDOW_ROWS,  # it is the gradient of an image that was pooled in windows with so many rows; 0: it is an image
    WINDOW_COLUMNS,
    IMAGE,
) = range(24)

G_SOURCE = SOURCE + IMAGE
HEADER = SOURCE + 2 * IMAGE

# The record of a phase; they follow the header.
(
    ROWS,
    COLUMNS,
    TAPS,
    AT,  # where in the plan the tables begin
    TO,
    TAP,
    WEIGHT,  # table: where in w the weight of tap k for output channel 0 is
    PACKED,  # where in `work` the packed weights begin
    RECORD,
) = range(9)

# The last tile of a weight gradient reaches past the last tap, by fewer rows than this.
TAP_SLACK = 8
# The most vectors in a tile.
SPARE = 24
