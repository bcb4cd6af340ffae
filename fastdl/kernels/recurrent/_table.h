/* The table of the recurrent cells: what a walk over time asks of a cell. Beside it only the equations (_cells.pxd) know
 * the cells.
 *
 * A row of gates holds one block of units per product. Block b takes gate x_gate[b] of x @ W_x, gate h_gate[b] of h @ W_h
 * and part bias[b] of b; -1 is none. Blocks of x come first and those of h last, each an unbroken range, because the
 * products of backward run over them. So where x and h stay apart within a gate it has two blocks: n of a GRU with the
 * reset after the product has that of x in front, r and z have one each, and n of h comes last.
 *
 * The recurrence is dense, h @ W_h; or by heads, so many matrices W_h, each of which multiplies its part of h and gives
 * the gates of the same units; or diagonal, each unit by itself: block b gains u * h with part h_gate[b] of a
 * vector of gates * H elements in the place of W_h; or there is none, and h passes by the gates alone. Without a product
 * there are no blocks of h.
 *
 * The late blocks, the last ones, are multiplied in a second phase by what the points of the first one give.
 */
#ifndef FASTDL_TABLE_H
#define FASTDL_TABLE_H

enum { FD_RNN_TANH, FD_RNN_RELU, FD_LSTM, FD_LSTM_COUPLED, FD_GRU_AFTER, FD_GRU_BEFORE, FD_INDRNN_TANH, FD_INDRNN_RELU,
       FD_MINGRU, FD_MINGRU_POSITIVE, FD_MINLSTM, FD_MINLSTM_POSITIVE, FD_MINLSTM_FREE, FD_MINLSTM_FREE_POSITIVE,
       FD_SLSTM, FD_SLSTM_EXP, FD_CELLS };
enum { FD_DENSE, FD_HEADS, FD_DIAGONAL, FD_NONE };
enum { FD_RNN_POINT, FD_LSTM_POINT, FD_GRU_POINT, FD_MINGRU_POINT, FD_MINLSTM_POINT, FD_SLSTM_POINT };

typedef struct {
    const char *name;
    int point;       /* which equations, */
    int form;        /* and which form: 1 is relu of an RNN, positive candidates or an exponential
                        forget gate, 2 gates as they are */
    int recurrence;  /* dense, by heads, diagonal or none */
    int gates;       /* of W_x and W_h, H columns each */
    int biases;      /* parts of b, H elements each */
    int states;      /* 1: h; 2: h and c; 4: h, c, n and m, which lie side by side, H elements each, as c of two */
    int carries;     /* whether h passes to the next step by another way than the product, too */
    int blocks;      /* of a row of gates */
    int first_of_h;  /* the first of them that h has a part in */
    int late;        /* the last so many of them are of the second phase */
    int x_gate[4], h_gate[4], bias[4];
    int peephole[4]; /* which peephole a block has: 0 and 1 read c of the step before, 2 that of this one */
} fd_cell;

static const fd_cell fd_cells[FD_CELLS] = {
    {"RNN", FD_RNN_POINT, 0, FD_DENSE, 1, 1, 1, 0, 1, 0, 0, {0}, {0}, {0}, {-1}},
    {"RNN with relu", FD_RNN_POINT, 1, FD_DENSE, 1, 1, 1, 0, 1, 0, 0, {0}, {0}, {0}, {-1}},
    /* i, f, g, o */
    {"LSTM", FD_LSTM_POINT, 0, FD_DENSE, 4, 4, 2, 0, 4, 0, 0, {0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, -1, 2}},
    /* i, g, o; f is 1 - i */
    {"LSTM with coupled=True", FD_LSTM_POINT, 0, FD_DENSE, 3, 3, 2, 0, 3, 0, 0, {0, 1, 2}, {0, 1, 2}, {0, 1, 2},
     {0, -1, 2}},
    /* n of x, r, z, n of h, where W and b have r, z, n, and b has n of h behind them */
    {"GRU", FD_GRU_POINT, 0, FD_DENSE, 3, 4, 1, 1, 4, 1, 0, {2, 0, 1, -1}, {-1, 0, 1, 2}, {2, 0, 1, 3},
     {-1, -1, -1, -1}},
    /* r, z, n, of which n multiplies r h */
    {"GRU with reset_after=False", FD_GRU_POINT, 0, FD_DENSE, 3, 3, 1, 1, 3, 0, 1, {0, 1, 2}, {0, 1, 2},
     {0, 1, 2}, {-1, -1, -1}},
    /* an RNN but for the recurrence */
    {"IndRNN with tanh", FD_RNN_POINT, 0, FD_DIAGONAL, 1, 1, 1, 1, 1, 1, 0, {0}, {0}, {0}, {-1}},
    {"IndRNN", FD_RNN_POINT, 1, FD_DIAGONAL, 1, 1, 1, 1, 1, 1, 0, {0}, {0}, {0}, {-1}},
    /* z, n */
    {"MinGRU", FD_MINGRU_POINT, 0, FD_NONE, 2, 2, 1, 1, 2, 2, 0, {0, 1}, {-1, -1}, {0, 1}, {-1, -1}},
    {"MinGRU with positive=True", FD_MINGRU_POINT, 1, FD_NONE, 2, 2, 1, 1, 2, 2, 0, {0, 1}, {-1, -1}, {0, 1}, {-1, -1}},
    /* f, i, n */
    {"MinLSTM", FD_MINLSTM_POINT, 0, FD_NONE, 3, 3, 1, 1, 3, 3, 0, {0, 1, 2}, {-1, -1, -1}, {0, 1, 2}, {-1, -1, -1}},
    {"MinLSTM with positive=True", FD_MINLSTM_POINT, 1, FD_NONE, 3, 3, 1, 1, 3, 3, 0, {0, 1, 2}, {-1, -1, -1},
     {0, 1, 2}, {-1, -1, -1}},
    {"MinLSTM with normalized=False", FD_MINLSTM_POINT, 2, FD_NONE, 3, 3, 1, 1, 3, 3, 0, {0, 1, 2}, {-1, -1, -1},
     {0, 1, 2}, {-1, -1, -1}},
    {"MinLSTM with positive=True, normalized=False", FD_MINLSTM_POINT, 3, FD_NONE, 3, 3, 1, 1, 3, 3, 0, {0, 1, 2},
     {-1, -1, -1}, {0, 1, 2}, {-1, -1, -1}},
    /* i, f, z, o */
    {"sLSTM", FD_SLSTM_POINT, 0, FD_HEADS, 4, 4, 4, 0, 4, 0, 0, {0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3},
     {-1, -1, -1, -1}},
    {"sLSTM with forget_gate='exp'", FD_SLSTM_POINT, 1, FD_HEADS, 4, 4, 4, 0, 4, 0, 0, {0, 1, 2, 3}, {0, 1, 2, 3},
     {0, 1, 2, 3}, {-1, -1, -1, -1}},
};

#endif
