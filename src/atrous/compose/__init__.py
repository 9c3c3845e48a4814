"""Networks as descriptions: small frozen records that know their arrays by name, and two functions each.

1. `part`     what every part of a network offers: variables, forward, backward, infer, trace
2. `leaves`   convolution, batch norm, ReLU, pools, dropout
3. `joins`    chain, residual, parallel; image pooling, the decoder's bridge, several scales
4. `styles`   how families of networks name their arrays
5. `match`    arrays as given against arrays as wanted
6. `device`   a description run on a GPU

Nothing is recorded while a network runs: a part's `backward` is written beside its `forward`, and a join calls those of
its parts in reverse.
"""
