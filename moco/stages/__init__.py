"""Compression in stages (S5): each stage is a search that begins with the network the one before it delivered."""
