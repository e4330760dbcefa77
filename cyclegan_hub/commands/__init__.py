"""What the console command does, one file for each verb."""
