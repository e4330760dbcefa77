"""What several tests share: pictures, tiny models, trainings, the local Hub, the running page."""
