"""The wire formats of vendors and the order in which answers leave: pure, with the clock and the dice handed in."""
