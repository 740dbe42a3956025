"""What is true about money, orders and answers, whatever database or gateway they come from.

Pure: no input or output, no clock, no log, the standard library only.
"""
