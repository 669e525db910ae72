"""How fast the pipeline is: `python -m benchmarks [engine | panels | pipeline]`, or `make bench`.

Figures are the least and the median of several repeats on whatever else the machine is doing; every
one stands beside something measured in the same run, so that ratios travel between machines.
BASIS_REAL_DATA_DIR names real data to measure on; without it, sample data are made.
`python -m benchmarks.peers` compares with other people's engines; it installs them, so it runs only
when it is asked for by itself.
"""
