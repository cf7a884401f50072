"""A model as one flat program: its calls, its taps, its receptive fields."""
