"""Speech as statistics of an utterance, and edits of the recording itself that move them: no vocoder in between.

analysis      what is measured of a recording: F0, mel-cepstra, active frames, pitch marks
marks         pitch marks, real-valued
statistics    names, units and values of the vector that generators see
envelope      the spectrum moves: an STFT filter whose gain is the difference of two envelopes
psola         F0, jitter, shimmer and duration move: grains of the source, placed anew
levels        loudness is kept where pitch moves, and nothing leaves full scale
conversion    a difference of statistics -> a changed waveform
representation  the class that generators and stages know

Prior art: differential spectral conversion without a vocoder (Kobayashi & Toda 2018, sprocket,
https://doi.org/10.21437/Odyssey.2018-29), TD-PSOLA (Moulines & Charpentier 1990,
https://doi.org/10.1016/0167-6393(90)90021-Z), WORLD for analysis alone (Morise, Yokomori & Ozawa 2016).
"""
